from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.registry import MODELS


@MODELS.register_module()
class RegressionHead(BaseModule):
    """Turn features into a density map of twice their resolution.

    The features are enlarged first, then go through 3x3 convolutions with ReLU and a 1x1
    convolution, and the absolute value or a ReLU makes the density non-negative. So end the
    published programs of the Bayesian loss (Ma et al., ICCV 2019: bilinear, absolute value),
    DM-Count (Wang et al., NeurIPS 2020: bilinear, ReLU) and the generalized loss (Wan, Liu and
    Chan, CVPR 2021: nearest, absolute value), each behind VGG-19 at stride 16.

    Args:
        in_channels: Channels of the features. Defaults to 512.
        mid_channels: Channels of the 3x3 convolutions. Defaults to (256, 128).
        out_stride: Input pixels per density cell, half of those per feature cell. Defaults to 8.
        upsample: ``'bilinear'``, where the centres of the corner cells stay in place
            (``align_corners``), or ``'nearest'``. Defaults to ``'bilinear'``.
        activation: ``'abs'`` or ``'relu'``. Defaults to ``'abs'``.
        init_cfg: Defaults to None: all layers start as PyTorch makes them, as in the programs of
            the Bayesian loss and DM-Count.

    Attributes:
        size_divisor: The density reaches the edges of images whose sides are multiples of it.

    Raises:
        ValueError: Unknown upsampling or activation, or ``out_stride`` is not positive.
    """

    # What torch.nn.functional.interpolate takes for each.
    UPSAMPLES: dict[str, dict[str, Any]] = dict(
        bilinear=dict(mode='bilinear', align_corners=True), nearest=dict(mode='nearest')
    )
    ACTIVATIONS = dict(abs=torch.abs, relu=torch.relu)

    def __init__(
        self,
        in_channels: int = 512,
        mid_channels: Sequence[int] = (256, 128),
        out_stride: int = 8,
        upsample: str = 'bilinear',
        activation: str = 'abs',
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if upsample not in self.UPSAMPLES:
            raise ValueError(f'upsample={upsample!r}, expected one of {list(self.UPSAMPLES)}')
        if activation not in self.ACTIVATIONS:
            raise ValueError(f'activation={activation!r}, expected one of {list(self.ACTIVATIONS)}')
        if out_stride < 1:
            raise ValueError(f'out_stride={out_stride!r}, expected a positive number of pixels')
        self.out_stride = out_stride
        self.size_divisor = 2 * out_stride
        self.upsample = upsample
        self.activation = activation
        channels = (in_channels, *mid_channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 3, padding=1)
            for c_in, c_out in zip(channels[:-1], mid_channels, strict=True)
        )
        self.predict = nn.Conv2d(channels[-1], 1, 1)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Density of a batch.

        Args:
            features: ``(N, C, h, w)`` at twice ``out_stride``, or a sequence of levels, of which
                the first is taken.

        Returns:
            ``density`` ``(N, 1, 2 * h, 2 * w)``, persons per cell of ``out_stride`` pixels.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        x = F.interpolate(features, scale_factor=2, **self.UPSAMPLES[self.upsample])
        for conv in self.convs:
            x = F.relu(conv(x))
        return dict(density=self.ACTIVATIONS[self.activation](self.predict(x)))
