"""Attention inside of rectangular windows that do not overlap."""

from collections.abc import Sequence

from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from .transformer_layers import EncoderLayer, usable_mask


def to_windows(maps: Tensor, window: Sequence[int]) -> Tensor:
    """Cut maps into windows.

    Args:
        maps: ``(N, C, H, W)``, whose sides are multiples of the window's.
        window: Height and width ``(h, w)`` of a window, in cells.

    Returns:
        ``(N * (H / h) * (W / w), h * w, C)``, windows and cells row by row.

    Examples:
        >>> import torch
        >>> to_windows(torch.arange(8).view(1, 1, 2, 4), (2, 2))[:, :, 0].tolist()
        [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    height, width = window
    parts = maps.unflatten(3, (-1, width)).unflatten(2, (-1, height))
    return parts.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(0, 2)


def from_windows(windows: Tensor, window: Sequence[int], size: Sequence[int]) -> Tensor:
    """Put windows together again, see :func:`to_windows`.

    Args:
        windows: ``(N * (H / h) * (W / w), h * w, C)``.
        window: Height and width ``(h, w)`` of a window, in cells.
        size: Height and width ``(H, W)`` of the maps, in cells.

    Returns:
        ``(N, C, H, W)``.
    """
    (height, width), (rows, columns) = window, size
    parts = windows.unflatten(0, (-1, rows // height, columns // width))
    parts = parts.unflatten(3, (height, width))
    return parts.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


class WindowEncoder(BaseModule):
    """Encoder layers, each of which looks inside of windows only, of a size of its own.

    Args:
        channels: Channels of the map.
        windows: Height and width of the windows of each layer, in cells.
        num_heads: Heads of the attentions.
        feedforward_channels: Channels between the linear layers of each layer.
    """

    def __init__(
        self,
        channels: int,
        windows: Sequence[tuple[int, int]],
        num_heads: int,
        feedforward_channels: int,
    ):
        super().__init__()
        self.windows = tuple(tuple(window) for window in windows)
        self.layers = ModuleList(
            EncoderLayer(channels, num_heads, feedforward_channels) for _ in self.windows
        )

    def forward(self, features: Tensor, position: Tensor, padding: Tensor) -> Tensor:
        """Refine a map.

        Args:
            features: ``(N, C, H, W)``, whose sides are multiples of all windows.
            position: ``(N, C, H, W)`` encoding of the positions of its cells.
            padding: ``(N, H, W)`` bool, True in the padding, which no cell looks at.

        Returns:
            ``(N, C, H, W)``; where a whole window is padding it has no meaning.
        """
        size = tuple(features.shape[-2:])
        for layer, window in zip(self.layers, self.windows, strict=True):
            mask = usable_mask(to_windows(padding[:, None], window)[..., 0])
            x = layer(to_windows(features, window), to_windows(position, window), mask)
            features = from_windows(x, window, size)
        return features
