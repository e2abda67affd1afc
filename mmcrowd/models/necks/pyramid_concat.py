from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class PyramidConcat(BaseModule):
    """A feature pyramid whose levels are all enlarged to the finest one and stacked.

    A 1x1 convolution brings every level to ``out_channels``, each coarser level is enlarged and
    added to the next finer one, and a 3x3 convolution follows on each sum (Lin et al., CVPR 2017).
    Every convolution has batch normalisation and ReLU and no bias. Enlarging repeats cells. So does
    the VGG16-bn form of IIM (Gao et al., arXiv 2012.04164), with three levels.

    Args:
        in_channels: Channels of the levels, the finest first.
        out_channels: Channels of a level of the pyramid. Defaults to 256.
        norm_cfg: Normalisation. Defaults to batch normalisation.
        init_cfg: Defaults to a uniform Xavier distribution for the convolutions, as published.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        norm_cfg = norm_cfg or dict(type='BN')
        self.lateral_convs = nn.ModuleList(
            ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, inplace=False)
            for channels in in_channels
        )
        self.fpn_convs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg)
            for _ in in_channels
        )

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stack the pyramid of a batch.

        Args:
            features: ``(N, C_i, h_i, w_i)``, the finest first, as many as ``in_channels``.

        Returns:
            ``(N, out_channels * number of levels, h_0, w_0)``.
        """
        levels = [conv(x) for conv, x in zip(self.lateral_convs, features, strict=True)]
        for i in range(len(levels) - 1, 0, -1):
            size = levels[i - 1].shape[-2:]
            levels[i - 1] = levels[i - 1] + F.interpolate(levels[i], size=size, mode='nearest')
        levels = [conv(x) for conv, x in zip(self.fpn_convs, levels, strict=True)]
        size = levels[0].shape[-2:]
        return torch.cat([F.interpolate(x, size=size, mode='nearest') for x in levels], dim=1)
