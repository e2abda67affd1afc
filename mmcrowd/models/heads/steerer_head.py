"""Head of STEERER (Han, Bai, Liu and Ouyang: *STEERER: Resolving Scale Variations for Counting and
Localization via Selective Inheritance Learning*, ICCV 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.func import functional_call

from mmcrowd.registry import MODELS


@MODELS.register_module()
class STEERERHead(BaseModule):
    """Predict the density at several scales, each from its features and those inherited from below.

    From the coarsest level of the backbone to the finest, :class:`ScaleFusion` joins the features
    of a level with what the coarser one passes on, and a decoder that all levels share turns them
    into a density of four times their resolution.

    Only the density of the finest level trains the decoder. The others go through a copy of it,
    whose parameters get no gradient, though the features before it do. In training the copy
    normalises by the statistics of its own batch, and leaves no trace in the running ones; at test
    time it has those of the decoder, which come from the finest level. So does the published
    program, with a second decoder that it overwrites before every step.

    Args:
        in_channels: Channels of the levels, the finest first. Defaults to those of HRNet-W48.
        channels: Channels of the features that are decoded, even. Defaults to 96.
        mid_channels: Channels of the three 3x3 convolutions of the decoder. Defaults to
            (64, 32, 16).
        in_stride: Input pixels per cell of the finest level, a multiple of 4. Defaults to 4.
        factor: The decoder predicts the density times this. Defaults to 100.0.
        coarse: Whether the densities of the coarser levels are predicted too. Without them the
            coarser levels learn by the finest density only. Defaults to True.
        norm_cfg: Normalisation. Defaults to batch normalisation.
        init_cfg: Defaults to None: all layers start as PyTorch makes them, as published.

    Attributes:
        out_stride: Input pixels per cell of the finest density.
        size_divisor: Sides of a batch must be multiples of it.

    Raises:
        ValueError: ``channels`` is odd, ``in_stride`` no multiple of 4, or there is one level only.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (48, 96, 192, 384),
        channels: int = 96,
        mid_channels: Sequence[int] = (64, 32, 16),
        in_stride: int = 4,
        factor: float = 100.0,
        coarse: bool = True,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        norm_cfg = norm_cfg or dict(type='BN')
        if channels % 2 or in_stride % 4 or len(in_channels) < 2:
            raise ValueError(
                f'STEERERHead: channels={channels}, in_stride={in_stride} and in_channels='
                f'{tuple(in_channels)}, expected an even number, a multiple of 4 and two or more'
            )
        self.out_stride = in_stride // 4
        self.size_divisor = in_stride * 2 ** (len(in_channels) - 1)
        self.factor = factor
        self.coarse = coarse
        *finer, coarsest = in_channels
        self.coarsest = conv_norm(coarsest, channels, 1, norm_cfg)
        self.fusions = nn.ModuleList(
            ScaleFusion(width, channels, norm_cfg, passes_on=i > 0) for i, width in enumerate(finer)
        )
        self.decoder = DensityDecoder(channels, mid_channels, norm_cfg)

    def forward(self, features: Sequence[Tensor]) -> dict[str, Any]:
        """Densities of a batch.

        Args:
            features: ``(N, C_i, h_i, w_i)``, the finest first, each side half of the one before.

        Returns:
            ``densities``, for each level, the finest first, ``(N, 1, 4 * h_i, 4 * w_i)`` persons
            per cell, without ``coarse`` the finest only; and ``density``, the finest.
        """
        *finer, x = features
        x = self.coarsest(x)
        densities = [self._decode_copy(x)] if self.coarse else []
        for level, fusion in zip(reversed(finer[1:]), reversed(self.fusions[1:]), strict=True):
            shown, x = fusion(level, x)
            if self.coarse:
                densities.append(self._decode_copy(shown))
        shown, _ = self.fusions[0](finer[0], x)
        densities.append(self.decoder(shown))
        densities = [density / self.factor for density in reversed(densities)]
        return dict(density=densities[0], densities=densities)

    def _decode_copy(self, features: Tensor) -> Tensor:
        """Decode with the present parameters and statistics of the decoder, as constants."""
        if not (self.training or torch.is_grad_enabled()):
            # The same numbers, by operations that can be traced, counted and exported.
            return self.decoder(features)
        state = {name: value.detach() for name, value in self.decoder.named_parameters()}
        state |= {name: value.clone() for name, value in self.decoder.named_buffers()}
        return functional_call(self.decoder, state, (features,))


class ScaleFusion(nn.Module):
    """Join the features of a level with those that the coarser level passes on.

    The inherited features are enlarged. One branch prepares them for the density of this level, a
    second one for what goes on to the finer level, where a soft mask weighs the two.

    Args:
        in_channels: Channels of the level. If they are half of ``channels``, they are taken as they
            are.
        channels: Channels of the inherited and of the resulting features.
        norm_cfg: Normalisation.
        passes_on: Whether a finer level follows; otherwise there are no mask and second branch.
    """

    def __init__(self, in_channels: int, channels: int, norm_cfg: dict, passes_on: bool):
        super().__init__()
        half = channels // 2
        self.lateral = (
            nn.Identity() if in_channels == half else conv_norm(in_channels, half, 1, norm_cfg)
        )
        self.shown = nn.Sequential(
            conv_norm(channels, half, 3, norm_cfg), conv_norm(half, half, 3, norm_cfg)
        )
        self.passes_on = passes_on
        if passes_on:
            self.passed = nn.Sequential(
                conv_norm(channels, half, 3, norm_cfg), conv_norm(half, half, 3, norm_cfg)
            )
            self.mask = nn.Sequential(
                conv_norm(channels, channels, 3, norm_cfg),
                conv_norm(channels, channels, 3, norm_cfg),
                nn.Conv2d(channels, 2, 1),
            )

    def forward(self, level: Tensor, inherited: Tensor) -> tuple[Tensor, Tensor]:
        """Join.

        Args:
            level: ``(N, in_channels, h, w)``.
            inherited: ``(N, channels, h / 2, w / 2)``.

        Returns:
            Twice ``(N, channels, h, w)``: the features to decode, and those that go on. At the
            finest level the two are one.
        """
        level = self.lateral(level)
        enlarged = F.interpolate(inherited, scale_factor=2, mode='nearest')
        shown = self.shown(enlarged)
        if not self.passes_on:
            joined = torch.cat([level, shown], 1)
            return joined, joined
        mask = F.interpolate(self.mask(inherited).softmax(1), scale_factor=2, mode='nearest')
        shown = shown * mask[:, 1:]
        passed = self.passed(enlarged) * mask[:, :1]
        return torch.cat([level, shown], 1), torch.cat([level, passed + shown], 1)


class DensityDecoder(nn.Module):
    """Features to a density of four times their resolution.

    Bilinear doubling, two 3x3 convolutions, bilinear doubling, a 3x3 and a 1x1 convolution, the
    last two without bias, and a ReLU.

    Args:
        in_channels: Channels of the features.
        mid_channels: Channels of the three 3x3 convolutions.
        norm_cfg: Their normalisation.
    """

    def __init__(self, in_channels: int, mid_channels: Sequence[int], norm_cfg: dict):
        super().__init__()
        first, second, third = mid_channels
        self.convs = nn.Sequential(
            nn.Upsample(scale_factor=2, mode='bilinear'),
            conv_norm(in_channels, first, 3, norm_cfg),
            conv_norm(first, second, 3, norm_cfg),
            nn.Upsample(scale_factor=2, mode='bilinear'),
            conv_norm(second, third, 3, norm_cfg),
        )
        self.predict = nn.Conv2d(third, 1, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, 1, 4 * h, 4 * w)``."""
        return F.relu(self.predict(self.convs(features)))


def conv_norm(in_channels: int, out_channels: int, kernel: int, norm_cfg: dict) -> nn.Sequential:
    """Convolution without bias that keeps the size, normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        build_norm_layer(norm_cfg, out_channels)[1],
        nn.ReLU(inplace=True),
    )
