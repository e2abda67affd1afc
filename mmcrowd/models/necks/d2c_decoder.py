"""Decoder of D2CNet (Cheng et al.: *Decoupled Two-Stage Crowd Counting and Beyond*, IEEE
Transactions on Image Processing 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class D2CDecoder(BaseModule):
    """Bring the deepest of several levels to the size of the finest, level by level.

    From the deepest on, the features are doubled bilinearly with aligned corners, joined to the
    next finer level, which comes first, and mixed by two 3x3 convolutions with ReLU, at the finest
    level by one. The first one gives half of what goes in, the second the channels of the level
    after that.

    Args:
        in_channels: Channels of the levels, the finest first, each with half the stride of the
            next. Defaults to (64, 128, 256, 512, 512), of VGG16.
        init_cfg: Defaults to a normal distribution of standard deviation 0.01, as published.

    Attributes:
        out_channels: Channels of the result.

    Raises:
        ValueError: There are fewer than two levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512, 512),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if len(in_channels) < 2:
            raise ValueError(f'D2CDecoder: in_channels={in_channels!r}, expected two or more')
        self.stages = nn.ModuleList()
        channels = in_channels[-1]
        for level in reversed(range(len(in_channels) - 1)):
            skip = in_channels[level]
            layers = [nn.Conv2d(skip + channels, skip, 3, padding=1), nn.ReLU(inplace=True)]
            channels = skip
            if level:
                channels = in_channels[level - 1]
                layers += [nn.Conv2d(skip, channels, 3, padding=1), nn.ReLU(inplace=True)]
            self.stages.append(nn.Sequential(*layers))
        self.out_channels = channels

    def forward(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features at the size of the finest level.

        Args:
            levels: ``(N, C_i, h_i, w_i)``, the finest first, each of twice the sides of the next.

        Returns:
            ``(N, C, h_0, w_0)``.
        """
        x = levels[-1]
        for skip, mix in zip(reversed(levels[:-1]), self.stages, strict=True):
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)
            x = mix(torch.cat([skip, x], 1))
        return x
