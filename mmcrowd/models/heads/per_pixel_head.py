from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.registry import MODELS


@MODELS.register_module()
class PerPixelHead(BaseModule):
    """Predict the density per pixel at the stride of the features, and enlarge it.

    A 1x1 convolution predicts ``factor`` times the persons per input pixel. So end the networks of
    the C-3-Framework (Gao et al., arXiv 1907.02724), whose labels are maps of the size of the
    image, times 100: its SFCN and MCNN with a ReLU, its CSRNet without one, each repeating every
    value in all pixels of a cell. A value stands for the same number of persons at every
    ``out_stride``.

    Args:
        in_channels: Channels of the features. Defaults to 64.
        in_stride: Input pixels per feature cell. Defaults to 8.
        out_stride: Input pixels per density cell, a divisor of ``in_stride``. Defaults to 1.
        factor: What a density of one person per pixel is predicted as. Defaults to 100.0.
        activation: ``'relu'``, or ``'none'``: the density may be negative. Defaults to ``'relu'``.
        upsample: ``'nearest'``, or ``'bilinear'`` between the centres of the cells, as in the
            authors' program for NWPU-Crowd; both keep the sum. Defaults to ``'nearest'``.
        init_cfg: Defaults to a normal distribution of standard deviation 0.01, as published.

    Raises:
        ValueError: Unknown activation or upsampling, ``out_stride`` does not divide ``in_stride``,
            or ``factor`` is not positive.
    """

    ACTIVATIONS = ('relu', 'none')
    UPSAMPLES = ('nearest', 'bilinear')

    def __init__(
        self,
        in_channels: int = 64,
        in_stride: int = 8,
        out_stride: int = 1,
        factor: float = 100.0,
        activation: str = 'relu',
        upsample: str = 'nearest',
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if activation not in self.ACTIVATIONS:
            raise ValueError(f'activation={activation!r}, expected one of {self.ACTIVATIONS}')
        if upsample not in self.UPSAMPLES:
            raise ValueError(f'upsample={upsample!r}, expected one of {self.UPSAMPLES}')
        if out_stride < 1 or in_stride % out_stride:
            raise ValueError(f'out_stride={out_stride!r}, expected a divisor of {in_stride}')
        if not factor > 0:
            raise ValueError(f'factor={factor!r}, expected a positive number')
        self.out_stride = out_stride
        self.ratio = in_stride // out_stride
        self.factor = factor
        self.activation = activation
        self.upsample = upsample
        self.predict = nn.Conv2d(in_channels, 1, 1)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Density of a batch.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a sequence of levels, of which the first
                is taken.

        Returns:
            ``density`` ``(N, 1, h * r, w * r)`` with ``r = in_stride / out_stride``, persons per
            cell of ``out_stride`` pixels.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        values = self.predict(features)
        if self.activation == 'relu':
            values = F.relu(values)
        density = values * (self.out_stride**2 / self.factor)
        if self.ratio > 1:
            density = F.interpolate(density, scale_factor=self.ratio, mode=self.upsample)
        return dict(density=density)
