"""Heads of D2CNet (Cheng et al.: *Decoupled Two-Stage Crowd Counting and Beyond*, IEEE
Transactions on Image Processing 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.registry import MODELS


class MapRegressor(BaseModule):
    """Persons in every cell of 32 x 32 pixels from a map of heads alone, by a VGG of one channel.

    Behind the last pooling layer come a 1x1 convolution with ReLU and one to the count, which
    nothing bounds.

    Args:
        depth: Of the VGG. Defaults to 16, as published.
        mid_channels: Channels between the two convolutions. Defaults to 512.
        init_cfg: Of the two convolutions. Defaults to a normal distribution of standard deviation
            0.01, as published; the VGG starts as :class:`~mmcrowd.models.VGGFeatures` does.
    """

    stride = 32

    def __init__(self, depth: int = 16, mid_channels: int = 512, init_cfg: dict | None = None):
        override = [dict(name=name, type='Normal', std=0.01) for name in ('mix', 'predict')]
        super().__init__(init_cfg or dict(type='Normal', layer=[], override=override))
        self.vgg = VGGFeatures(depth, out_stages=(4,))
        first = self.vgg.features[0].conv
        self.vgg.features[0].conv = nn.Conv2d(1, first.out_channels, 3, padding=1)
        self.mix = nn.Conv2d(512, mid_channels, 1)
        self.predict = nn.Conv2d(mid_channels, 1, 1)

    def start_from(self, vgg: VGGFeatures) -> None:
        """Take the weights of a VGG of three channels, whose first kernels are averaged.

        Raises:
            RuntimeError: It has other layers.
        """
        weights = dict(vgg.state_dict())
        weights['features.0.conv.weight'] = weights['features.0.conv.weight'].mean(1, keepdim=True)
        self.vgg.load_state_dict(weights)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``(N, 1, H, W) -> (N, 1, H // 32, W // 32)``."""
        (x,) = self.vgg(maps)
        return self.predict(F.relu(self.mix(F.max_pool2d(x, 2))))


@MODELS.register_module()
class MapCountHead(BaseModule):
    """Count the persons in cells of 32 x 32 pixels of a map of heads.

    It is the second stage of D2CNet by itself, for pictures that are such maps:
    ``DensityCounter(backbone=dict(type='Identity'), head=dict(type='MapCountHead'),
    count_from='count', ...)`` with a grey input of values between 0 and 1.

    Args:
        regressor: Arguments of :class:`MapRegressor`. Defaults to those of D2CNet.
        init_cfg: Defaults to None.

    Attributes:
        out_stride: Input pixels per cell of the map.
        size_divisor: Sides of the input must be multiples of it.
    """

    out_stride = 1
    size_divisor = MapRegressor.stride

    def __init__(self, regressor: dict | None = None, init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg)
        self.regressor = MapRegressor(**(regressor or {}))

    def forward(self, maps: torch.Tensor) -> dict[str, torch.Tensor]:
        """Counts of a batch.

        Args:
            maps: ``(N, 1, H, W)``.

        Returns:
            ``probability``, the map itself, and ``count`` ``(N, 1, H / 32, W / 32)``.
        """
        return dict(probability=maps, count=self.regressor(maps))


@MODELS.register_module()
class D2CHead(MapCountHead):
    """Probability of a head at every pixel, and from it alone the count of every 32 x 32 pixels.

    The probability is a 3x3 convolution with ReLU, so it may exceed 1.

    Args:
        in_channels: Channels of the features. Defaults to 64.
        regressor: See :class:`MapCountHead`.
        init_cfg: Of the convolution. Defaults to a normal distribution of standard deviation 0.01,
            as published.
    """

    def __init__(
        self,
        in_channels: int = 64,
        regressor: dict | None = None,
        init_cfg=dict(  # noqa: B006
            type='Normal', layer=[], override=dict(name='predict', type='Normal', std=0.01)
        ),
    ):
        super().__init__(regressor, init_cfg)
        self.predict = nn.Conv2d(in_channels, 1, 3, padding=1)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Probability and counts of a batch.

        Args:
            features: ``(N, C, H, W)``, one for each pixel, or a sequence of levels, of which the
                first is taken.

        Returns:
            ``probability`` ``(N, 1, H, W)`` and ``count`` ``(N, 1, H / 32, W / 32)``.
        """
        x = features if isinstance(features, torch.Tensor) else features[0]
        return super().forward(F.relu(self.predict(x)))
