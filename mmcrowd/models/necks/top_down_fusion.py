from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class TopDownFusion(BaseModule):
    """Fuse two feature levels into the finer one.

    A 1x1 convolution brings both levels to ``out_channels``, the coarse one is upsampled
    bilinearly and added to the fine one, and ``num_convs`` 3x3 convolutions with ReLU follow
    (Lin, Wan and Chan, ICLR 2025: one for VGG; for HRNet two, with batch normalisation).

    Args:
        in_channels: Channels of the fine and of the coarse level.
        out_channels: Channels of the result. Defaults to 256.
        num_convs: Number of 3x3 convolutions after the sum. Defaults to 1.
        norm_cfg: Normalisation of the 3x3 convolutions. Defaults to None.
        lateral_bias: Whether the 1x1 convolutions have a bias; those of the paper's HRNet have
            none. Defaults to True.
        init_cfg: Defaults to Kaiming for the convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_convs: int = 1,
        norm_cfg: dict | None = None,
        lateral_bias: bool = True,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_in'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if len(in_channels) != 2:
            raise ValueError(
                f'in_channels={in_channels!r}, expected one number for each of 2 levels'
            )
        self.lateral_fine, self.lateral_coarse = (
            nn.Conv2d(channels, out_channels, 1, bias=lateral_bias) for channels in in_channels
        )
        self.fusion = nn.Sequential(
            *(
                ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg)
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
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode='bilinear', align_corners=False)
        return self.fusion(fine + coarse)
