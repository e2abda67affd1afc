"""Head of MUD-ikNN (Olmschenk, Tang and Zhu: *Improving Dense Crowd Counting Convolutional Neural
Networks using Inverse k-Nearest Neighbor Maps and Multiscale Upsampling*, arXiv 1902.05379)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


class MapModule(BaseModule):
    """A map of a patch by one transposed convolution, and the count of the patch from that map.

    Three 2x2 convolutions halve the map, one over all of it and a 1x1 convolution give the count.
    All layers but the last have a leaky ReLU.

    Args:
        in_channels: Channels of the features.
        stride: Pixels per feature cell.
        patch_size: Side of the patch in pixels, a multiple of 8 and of the stride.
        init_cfg: Defaults to None: as PyTorch makes the layers, as published.
    """

    def __init__(
        self, in_channels: int, stride: int, patch_size: int, init_cfg: dict | None = None
    ):
        super().__init__(init_cfg)
        self.to_map = nn.ConvTranspose2d(in_channels, 1, stride, stride)
        channels = (1, 8, 16, 32)
        self.shrink = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 2, 2) for c_in, c_out in pairwise(channels)
        )
        self.mix = nn.Conv2d(channels[-1], 20, patch_size // 8)
        self.predict = nn.Conv2d(20, 1, 1)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(N, C, h, w)`` to the map ``(N, 1, P, P)`` and the count ``(N, 1, 1, 1)``."""
        maps = x = F.leaky_relu(self.to_map(features))
        for conv in (*self.shrink, self.mix):
            x = F.leaky_relu(conv(x))
        return maps, self.predict(x)


@MODELS.register_module()
class IKNNHead(BaseModule):
    """Inverse k-nearest-neighbour maps and the count of a patch of one fixed size.

    Each level but the last gives a map of the size of the patch and a count that is drawn from the
    map alone; the last gives a count. The count of the patch is the sum of them all. It may be
    negative, and is spread evenly over the patch.

    Args:
        in_channels: Channels of the levels, the finest first. Defaults to (128, 256, 896, 1920), of
            the transitions and the end of DenseNet201.
        strides: Pixels per cell of the levels. Defaults to (8, 16, 32, 32).
        patch_size: Side of the patch in pixels. Defaults to 224.
        init_cfg: Defaults to None: as PyTorch makes the layers, as published.

    Attributes:
        out_stride: Input pixels per cell of the maps.
        patch_size: Side of the input, which has this size only.

    Raises:
        ValueError: ``patch_size`` is no multiple of 8 and of the strides.
    """

    out_stride = 1

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 256, 896, 1920),
        strides: Sequence[int] = (8, 16, 32, 32),
        patch_size: int = 224,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if any(patch_size % stride for stride in (8, *strides)):
            raise ValueError(
                f'IKNNHead: patch_size={patch_size!r}, expected a multiple of 8 and of the '
                f'strides {tuple(strides)}'
            )
        self.patch_size = patch_size
        self.strides = tuple(strides)
        self.taps = nn.ModuleList(
            MapModule(channels, stride, patch_size)
            for channels, stride in zip(in_channels[:-1], strides[:-1], strict=True)
        )
        self.mix = nn.Conv2d(in_channels[-1], 20, 1)
        self.predict = nn.Conv2d(20, 1, 1)

    def forward(self, levels: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Maps and count of a batch of patches.

        Args:
            levels: ``(N, C_i, h_i, w_i)``, the finest first.

        Returns:
            ``maps`` ``(N, L - 1, P, P)`` of the L levels and ``density`` ``(N, 1, P, P)``, the
            count of the patch over its number of pixels, everywhere.

        Raises:
            ValueError: The patches are not of the size that the layers are made for.
        """
        size = tuple(side * self.strides[0] for side in levels[0].shape[2:])
        if size != (self.patch_size, self.patch_size):
            raise ValueError(
                f'IKNNHead: patches of {size} pixels (h, w), expected {self.patch_size} x '
                f'{self.patch_size}; larger images need inference=dict(type="PatchInference")'
            )
        results = [tap(x) for tap, x in zip(self.taps, levels[:-1], strict=True)]
        pooled = levels[-1].mean((2, 3), keepdim=True)
        count = self.predict(F.leaky_relu(self.mix(pooled)))
        for _, part in results:
            count = count + part
        return dict(
            maps=torch.cat([maps for maps, _ in results], 1),
            density=(count / self.patch_size**2).expand(-1, -1, *size),
        )
