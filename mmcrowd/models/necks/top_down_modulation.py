"""Neck of LSC-CNN (Sam et al.: *Locate, Size and Count*, TPAMI 2020)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class TopDownModulation(BaseModule):
    """Give every level the features of all coarser ones, enlarged, beside its own.

    The coarsest level is brought to half of its channels. What a level sends down are the features
    that it was given, not what it got from above, so every way from a level to a finer one is its
    own: :class:`Enlarge`.

    Args:
        in_channels: Channels of the four levels, the finest first, each twice as fine as the next.
            Defaults to (64, 128, 256, 512).
        init_cfg: Defaults to None: all layers start as PyTorch makes them, as published.

    Attributes:
        out_channels: Channels of the results.

    Raises:
        ValueError: There are other than four levels.

    Examples:
        >>> neck = TopDownModulation((4, 4, 8, 8))
        >>> levels = [torch.zeros(1, c, s, s) for c, s in ((4, 8), (4, 4), (8, 2), (8, 1))]
        >>> [tuple(level.shape) for level in neck(levels)]
        [(1, 16, 8, 8), (1, 12, 4, 4), (1, 16, 2, 2), (1, 4, 1, 1)]
    """

    # The levels that each level gets features from, in the order in which they are concatenated.
    SOURCES = ((3, 2, 1), (2, 3), (3,), ())
    # The factors of the transposed convolutions, by the number of levels between.
    FACTORS = ((2,), (4,), (4, 2))

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512),
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if len(in_channels) != len(self.SOURCES):
            raise ValueError(
                f'TopDownModulation: in_channels={tuple(in_channels)}, expected one number for '
                f'each of {len(self.SOURCES)} levels'
            )
        *fine, coarsest = in_channels
        widths = (*fine, coarsest // 2)
        self.reduce = nn.Conv2d(coarsest, widths[-1], 3, padding=1)
        self.ways = nn.ModuleList(
            nn.ModuleList(
                Enlarge(widths[source], width, self.FACTORS[source - level - 1])
                for source in sources
            )
            for level, (sources, width) in enumerate(zip(self.SOURCES, widths, strict=True))
        )
        self.out_channels = tuple(
            width * (1 + len(sources)) for sources, width in zip(self.SOURCES, widths, strict=True)
        )

    def forward(self, features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Modulate four levels.

        Args:
            features: ``(N, C_i, h_i, w_i)``, the finest first, each side twice that of the next.

        Returns:
            ``(N, out_channels[i], h_i, w_i)``, the finest first.
        """
        *fine, coarsest = features
        levels = [*fine, F.relu(self.reduce(coarsest))]
        results = []
        for i, (level, sources) in enumerate(zip(levels, self.SOURCES, strict=True)):
            ways = self.ways[i].children()
            inherited = (way(levels[source]) for way, source in zip(ways, sources, strict=True))
            results.append(torch.cat([level, *inherited], 1))
        return tuple(results)


class Enlarge(nn.Module):
    """Transposed 3x3 convolutions, then a 3x3 convolution, each with a ReLU.

    A factor of 4 is larger than the kernel, so that a part of the cells has the bias only, as
    published.

    Args:
        in_channels: Channels of the coarse level.
        out_channels: Channels of the result.
        factors: Of each transposed convolution, 2 or 4.
    """

    # What makes the result exactly so many times as large.
    PADDING = {2: 1, 4: 0}

    def __init__(self, in_channels: int, out_channels: int, factors: Sequence[int]):
        super().__init__()
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(
                in_channels, in_channels, 3, factor, self.PADDING[factor], output_padding=1
            )
            for factor in factors
        )
        self.refine = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, in_channels, h, w)`` to ``(N, out_channels, f * h, f * w)``."""
        for layer in self.enlarge:
            x = F.relu(layer(x))
        return F.relu(self.refine(x))
