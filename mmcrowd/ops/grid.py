"""The cells of a map as a grid of points, and what is summed over them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .cells import cell_centre, cell_of


def cell_centres(size: Sequence[int], stride: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of the columns ``(w,)`` and rows ``(h,)`` of cells in input pixels.

    Cell (i, j) has its centre at ``(x[j], y[i])``, see :func:`~mmcrowd.ops.cells.cell_centre`.

    Args:
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        like: Gives device and dtype.

    Returns:
        x and y.

    Examples:
        >>> cell_centres((1, 3), 2, torch.zeros(0))
        (tensor([0.5000, 2.5000, 4.5000]), tensor([0.5000]))
    """
    x, y = (
        cell_centre(torch.arange(side, device=like.device, dtype=like.dtype), stride)
        for side in size[::-1]
    )
    return x, y


def points_per_cell(points: Tensor, size: Sequence[int], stride: int) -> Tensor:
    """Number of points in each cell; a point outside the frame counts in the nearest border cell.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.

    Returns:
        ``(h, w)``, of the dtype of the points.

    Examples:
        >>> points_per_cell(torch.tensor([[0.0, 0.0], [1.4, 0.0], [99.0, 0.0]]), (1, 2), 2)
        tensor([[2., 1.]])
    """
    h, w = size
    # Clamped before the cast: a far point does not fit an integer.
    x, y = cell_of(points, stride).unbind(1)
    cell = y.clamp(0, h - 1).long() * w + x.clamp(0, w - 1).long()
    return points.new_zeros(h * w).index_add(0, cell, torch.ones_like(x)).view(h, w)


def cut_middle(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Cut maps ``(..., h, w)`` to ``size``, in the middle; an odd rest is lost below and right.

    Raises:
        ValueError: The maps are smaller than ``size``.
    """
    rest = [have - want for have, want in zip(maps.shape[-2:], size, strict=True)]
    if min(rest) < 0:
        raise ValueError(f'a map of {tuple(maps.shape[-2:])} cannot be cut to {tuple(size)}')
    top, left = (side // 2 for side in rest)
    return maps[..., top : top + size[0], left : left + size[1]]


class SeparableKernel(NamedTuple):
    """A kernel between cells and points that is a product of a factor in y and one in x.

    It takes ``(h + w) * m`` numbers of memory in place of ``h * w * m``, and a product with it is
    one matrix product.

    Attributes:
        rows: ``(h, m)``.
        columns: ``(w, m)``.
    """

    rows: Tensor
    columns: Tensor

    def to_cells(self, values: Tensor | None = None) -> Tensor:
        """Sum a value per point, by default 1, over the points, ``(m,) -> (h, w)``."""
        rows = self.rows if values is None else self.rows * values
        return rows @ self.columns.T

    def to_points(self, values: Tensor) -> Tensor:
        """Sum a value per cell over the cells, ``(h, w) -> (m,)``."""
        # Several times as fast on a CPU as (rows * (values @ columns)).sum(0).
        return ((self.rows.T @ values) * self.columns.T).sum(1)


@torch.no_grad()
def gaussian_kernel(
    points: Tensor, size: Sequence[int], stride: int, scale: float
) -> SeparableKernel:
    """Kernel ``exp(-d**2 / scale)`` of the distance d from each cell to each point.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        scale: In input pixels squared.

    Returns:
        The kernel, without gradient.
    """
    columns, rows = (
        (centres - p[:, None]).square_().div_(-scale).exp_().T
        for centres, p in zip(cell_centres(size, stride, points), points.T, strict=True)
    )
    return SeparableKernel(rows, columns)
