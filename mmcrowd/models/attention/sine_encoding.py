"""Encodings of positions by sines (Carion et al.: *End-to-End Object Detection with Transformers*,
ECCV 2020)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 10_000


def sine_encoding(position: Tensor, channels: int) -> Tensor:
    r"""Encode positions along one axis.

    Channels :math:`2k` and :math:`2k + 1` are :math:`\sin(p / T^{2k/C})` and
    :math:`\cos(p / T^{2k/C})`, with T = 10000.

    Args:
        position: Positions of any shape, in radians: 0 to 2 pi along the axis.
        channels: C, even.

    Returns:
        The shape of ``position`` and ``(C,)`` behind it; computed in float32, of its dtype.

    Examples:
        >>> sine_encoding(torch.tensor([0.0, math.pi / 2]), 2)
        tensor([[ 0.0000e+00,  1.0000e+00],
                [ 1.0000e+00, -4.3711e-08]])
    """
    k = torch.arange(channels // 2, device=position.device, dtype=torch.float32)
    angle = position.float()[..., None] / TEMPERATURE ** (2 * k / channels)
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2).to(position)


def grid_encoding(
    padding_mask: Tensor, channels: int, at: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Encode the positions of the cells of a grid, of which some are padding.

    The position of a cell along an axis is its number among the cells of its row or column that
    are no padding, from 1 on, divided by how many there are, times 2 pi.

    Args:
        padding_mask: ``(N, h, w)`` bool, True in the padding.
        channels: Channels of the result, half of them for each axis; divisible by 4.
        at: Rows ``(k,)`` and columns ``(l,)`` of the cells that are wanted. Defaults to None, all.

    Returns:
        ``(N, channels, k, l)`` float32, or ``(N, channels, h, w)``; the vertical half first.

    Examples:
        The sines of four cells in a row.

        >>> grid_encoding(torch.zeros(1, 1, 4, dtype=torch.bool), 4)[0, 2, 0].abs().round()
        tensor([1., 0., 1., 0.])
    """
    inside = (~padding_mask).float()
    halves = []
    for axis in (1, 2):
        position = inside.cumsum(axis)
        total = position.narrow(axis, -1, 1) + 1e-6
        if at is not None:
            rows, columns = at
            position = position[:, rows][:, :, columns]
            total = total[:, rows] if axis == 2 else total[:, :, columns]
        halves.append(sine_encoding(position / total * (2 * math.pi), channels // 2))
    return torch.cat(halves, -1).permute(0, 3, 1, 2)


def padded_cells(padding_mask: Tensor, size: Sequence[int]) -> Tensor:
    """Find the cells of a coarser grid whose upper left pixel is padding.

    Args:
        padding_mask: ``(N, H, W)`` bool, True in the padding.
        size: Height and width of the grid, in cells.

    Returns:
        ``(N, *size)`` bool.
    """
    cells = F.interpolate(padding_mask[:, None].float(), size=tuple(size), mode='nearest')
    return cells[:, 0].bool()
