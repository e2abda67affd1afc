from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class TopDownFusion(BaseModule):
    """Fuse two feature levels into the finer one.

    A 1x1 convolution brings both levels to ``out_channels``, the coarse one is upsampled and added
    to the fine one, and ``num_convs`` 3x3 convolutions follow (Lin, Wan and Chan, ICLR 2025: one
    for VGG; for HRNet two, with batch normalisation). With ``upsample='nearest'`` and
    ``act_cfg=None`` this is a level of the feature pyramid of P2PNet (Song et al., ICCV 2021).

    Args:
        in_channels: Channels of the fine and of the coarse level.
        out_channels: Channels of the result. Defaults to 256.
        num_convs: Number of 3x3 convolutions after the sum. Defaults to 1.
        upsample: ``'bilinear'`` or ``'nearest'``. Defaults to ``'bilinear'``.
        norm_cfg: Normalisation of the 3x3 convolutions. Defaults to None.
        act_cfg: Activation after the 3x3 convolutions, None for none. Defaults to a ReLU.
        lateral_bias: Whether the 1x1 convolutions have a bias; those of the paper's HRNet have
            none. Defaults to True.
        init_cfg: Defaults to Kaiming for the convolutions.

    Raises:
        ValueError: Unknown upsampling, or other than two levels.
    """

    # What torch.nn.functional.interpolate takes for each.
    UPSAMPLES: dict[str, dict[str, Any]] = dict(
        bilinear=dict(mode='bilinear', align_corners=False), nearest=dict(mode='nearest')
    )

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_convs: int = 1,
        upsample: str = 'bilinear',
        norm_cfg: dict | None = None,
        act_cfg: dict | None = dict(type='ReLU'),  # noqa: B006
        lateral_bias: bool = True,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_in'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if len(in_channels) != 2:
            raise ValueError(
                f'in_channels={in_channels!r}, expected one number for each of 2 levels'
            )
        if upsample not in self.UPSAMPLES:
            raise ValueError(f'upsample={upsample!r}, expected one of {list(self.UPSAMPLES)}')
        self.upsample = upsample
        self.lateral_fine, self.lateral_coarse = (
            nn.Conv2d(channels, out_channels, 1, bias=lateral_bias) for channels in in_channels
        )
        self.fusion = nn.Sequential(
            *(
                ConvModule(
                    out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg
                )
                for _ in range(num_convs)
            )
        )

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Fuse the first two levels of a backbone; what it returns besides is not used.

        Args:
            features: ``(N, C0, h, w)`` and ``(N, C1, h', w')``, fine to coarse, and more.

        Returns:
            ``(N, out_channels, h, w)``.
        """
        fine, coarse = self.lateral_fine(features[0]), self.lateral_coarse(features[1])
        coarse = F.interpolate(coarse, size=fine.shape[-2:], **self.UPSAMPLES[self.upsample])
        return self.fusion(fine + coarse)
