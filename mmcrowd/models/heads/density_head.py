import itertools
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.registry import MODELS


@MODELS.register_module()
class DensityHead(BaseModule):
    """Turn features into a non-negative density map.

    3x3 convolutions with ReLU (``mid_channels``), a 1x1 convolution and, where the density is finer
    than the features, an upsampling by ``r = in_stride / out_stride``: ``'pixel_shuffle'`` predicts
    ``r * r`` cells from each feature, ``'bilinear'`` interpolates one prediction and divides it by
    ``r * r``, so that the count stays. A ReLU ends the head (Lin, Wan and Chan, ICLR 2025). With
    few people in many cells it can die, in a network that learns from scratch: once all cells are
    below zero no gradient is left. A softplus cannot.

    The first densities are small, and the loss begins by raising the count. Before a ReLU the
    weights of the last layer start at a hundredth of their default and its bias at 0. Before a
    softplus its bias starts at -5 (0.007 persons per cell) and the weights at their default, of
    either sign: features are not negative, so that weights near 0, which the background soon makes
    negative all together, could not raise the density anywhere.

    Args:
        in_channels: Channels of the features.
        mid_channels: Channels of the 3x3 convolutions; empty for none. Defaults to (256, 128).
        in_stride: Input pixels per feature cell. Defaults to 8.
        out_stride: Input pixels per density cell, a divisor of ``in_stride``. Defaults to 2.
        upsample: ``'pixel_shuffle'`` or ``'bilinear'``. Defaults to ``'pixel_shuffle'``.
        activation: ``'relu'`` or ``'softplus'``, what makes the density non-negative. Defaults to
            ``'relu'``.
        norm_cfg: Normalisation of the 3x3 convolutions. Defaults to None.
        init_cfg: Defaults to Kaiming for the convolutions.

    Raises:
        ValueError: Unknown upsampling or activation, or ``out_stride`` does not divide
            ``in_stride``.
    """

    UPSAMPLES = ('pixel_shuffle', 'bilinear')
    # Where the weights (times their default) and the bias of the last layer start, by activation.
    ACTIVATIONS = dict(relu=(0.01, 0.0), softplus=(1.0, -5.0))

    def __init__(
        self,
        in_channels: int,
        mid_channels: Sequence[int] = (256, 128),
        in_stride: int = 8,
        out_stride: int = 2,
        upsample: str = 'pixel_shuffle',
        activation: str = 'relu',
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_in'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if upsample not in self.UPSAMPLES:
            raise ValueError(f'upsample={upsample!r}, expected one of {self.UPSAMPLES}')
        if activation not in self.ACTIVATIONS:
            raise ValueError(f'activation={activation!r}, expected one of {list(self.ACTIVATIONS)}')
        if out_stride < 1 or in_stride % out_stride:
            raise ValueError(f'out_stride={out_stride!r}, expected a divisor of {in_stride}')
        self.out_stride = out_stride
        self.activation = activation
        self.ratio = ratio = in_stride // out_stride
        channels = (in_channels, *mid_channels)
        self.convs = nn.Sequential(
            *(
                ConvModule(c_in, c_out, 3, padding=1, norm_cfg=norm_cfg)
                for c_in, c_out in itertools.pairwise(channels)
            )
        )
        if upsample == 'pixel_shuffle':
            self.predict = nn.Conv2d(channels[-1], ratio * ratio, 1)
            self.upsample = nn.PixelShuffle(ratio)
        else:
            self.predict = nn.Conv2d(channels[-1], 1, 1)
            self.upsample = nn.Upsample(scale_factor=ratio, mode='bilinear', align_corners=False)
        self.is_shuffled = upsample == 'pixel_shuffle'

    @property
    def _is_pretrained(self) -> bool:
        configs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg or {}]
        return any(config.get('type') == 'Pretrained' for config in configs)

    def init_weights(self) -> None:
        super().init_weights()
        if self._is_pretrained:
            return
        with torch.no_grad():
            self.predict.reset_parameters()
            gain, bias = self.ACTIVATIONS[self.activation]
            self.predict.weight.mul_(gain)
            self.predict.bias.fill_(bias)

    @torch.no_grad()
    def scale_density(self, factor: float) -> None:
        """Multiply all densities by a factor, by the parameters of the last layer.

        Args:
            factor: Positive.

        Raises:
            ValueError: The factor is not positive, or the head ends in a softplus, which no factor
                before it scales.
        """
        if not factor > 0 or self.activation != 'relu':
            raise ValueError(
                f'factor={factor!r} with activation={self.activation!r}, expected a positive '
                "factor and 'relu'"
            )
        self.predict.weight.mul_(factor)
        self.predict.bias.mul_(factor)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Density of a batch.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a backbone's tuple of levels, of which
                the first is taken.

        Returns:
            ``density`` ``(N, 1, h * r, w * r)``, persons per cell of ``out_stride`` pixels.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        density = self.upsample(self.predict(self.convs(features)))
        if not self.is_shuffled:
            density = density / self.ratio**2
        return dict(density=getattr(F, self.activation)(density))
