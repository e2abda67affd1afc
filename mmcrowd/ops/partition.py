"""The divide stage: every cell of a density map goes to its nearest point.

Only torch and numpy are used, and one algorithm serves every device, so that the loader workers and
a loss on the accelerator find the same index.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .cells import cell_centre

# Pairs of a tile and a point that the search tries first: so few that they cost little, and enough
# to pass over the coarse tiles, which settle nothing.
FIRST_PAIRS = 2**14


class Partition(NamedTuple):
    """Nearest point of every cell, for a batch.

    Attributes:
        index: ``(N, h, w)`` int64, place of the nearest point in its image's list; -1
            everywhere in an image without points.
        distance: ``(N, h, w)`` float32 (float64 for float64 points), from the cell's
            centre to that point in input pixels; +inf everywhere in an image without points.
    """

    index: Tensor  # type: ignore[assignment]  # in place of the method of tuples
    distance: Tensor


def nearest_point_partition(
    points: Tensor | np.ndarray, size: Sequence[int], stride: int
) -> tuple[Tensor, Tensor] | tuple[np.ndarray, np.ndarray]:
    """Find the nearest point of every cell of one image.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels. They may lie
            outside the frame or coincide, and m may be 0.
        size: Height and width ``(h, w)`` of the density map, in cells.
        stride: Input pixels per cell.

    Returns:
        ``index`` and ``distance``, each ``(h, w)``, as in :class:`Partition`; tensors on the
        device of the points, or arrays if the points are an array.

    Raises:
        ValueError: The points are not ``(m, 2)`` or not finite, or size or stride is not positive.
    """
    if isinstance(points, np.ndarray):
        index, distance = partition_batch([torch.from_numpy(points)], size, stride)
        return index[0].numpy(), distance[0].numpy()
    index, distance = partition_batch([points], size, stride)
    return index[0], distance[0]


@torch.no_grad()
def partition_batch(points: list[Tensor], size: Sequence[int], stride: int) -> Partition:
    """Find the nearest point of every cell for a batch of images of one size.

    The search is exact: squared distances are compared in float64, and a tie goes to the lowest
    index. Time and memory grow with the cells plus the points, not with their product.

    Args:
        points: For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` of the density maps, in cells.
        stride: Input pixels per cell. Cell (i, j) has its centre at
            ``(j * stride + (stride - 1) / 2, i * stride + (stride - 1) / 2)``.

    Returns:
        ``index`` and ``distance``, each ``(N, h, w)``.

    Raises:
        ValueError: As for :func:`nearest_point_partition`.
    """
    h, w = size
    if min(h, w, stride) < 1:
        raise ValueError(f'size and stride must be positive, but got size={(h, w)}, {stride=}')
    for i, p in enumerate(points):
        if p.ndim != 2 or p.shape[1] != 2:
            raise ValueError(
                f'points of image {i} must have the shape (m, 2), but got {tuple(p.shape)}'
            )
    every = torch.cat(points)
    counts = torch.tensor([len(p) for p in points], device=every.device)
    image = torch.arange(len(points), device=every.device).repeat_interleave(counts)
    if not every.isfinite().all():
        bad = int(every.isfinite().all(1).logical_not().nonzero()[0])
        raise ValueError(
            f'points must be finite, but image {int(image[bad])} has {every[bad].tolist()}'
        )

    x, y = every.double().T.contiguous()
    owner = _search(x, y, image, (len(points), h, w), stride)
    # The cells of an image without points are owned by one that is infinitely far.
    x, y = torch.cat((x, x.new_full((1,), torch.inf))), torch.cat((y, y.new_full((1,), torch.inf)))
    cx, cy = cell_centre(torch.arange(w).to(x), stride), cell_centre(torch.arange(h).to(y), stride)
    square = x.index_select(0, owner.flatten()).view_as(owner).sub_(cx).square_()
    square += y.index_select(0, owner.flatten()).view_as(owner).sub_(cy[:, None]).square_()
    first = torch.where(counts > 0, counts.cumsum(0) - counts, len(every) + 1)
    dtype = torch.promote_types(every.dtype, torch.float32)
    return Partition(owner - first[:, None, None], square.sqrt_().to(dtype))


def _search(
    x: Tensor, y: Tensor, image: Tensor, shape: tuple[int, int, int], stride: int
) -> Tensor:
    """Descend a pyramid of square tiles to the nearest point of every cell.

    A tile is tried with a list of points. It keeps q, the nearest to its centre, and every p that
    is not farther than q from the whole tile: ``|c - p|^2 - |c - q|^2`` is linear in the position
    c, so p is farther everywhere if the value at the centre exceeds the largest change towards a
    corner. A tile that keeps only q is settled; the others are quartered, down to single cells.

    Args:
        x, y: ``(M,)`` float64, positions of all points of the batch.
        image: ``(M,)`` int64, the image of each, in ascending order.
        shape: ``(N, h, w)``.
        stride: Input pixels per cell.

    Returns:
        ``(N, h, w)`` int64, the nearest among the M points; M where the image has none.
    """
    n, h, w = shape
    m, device = len(x), x.device
    if m == 0:
        return image.new_full(shape, m)
    # Of coinciding points only the first can own a cell. Sort by place, and drop repetitions.
    point = torch.argsort(y, stable=True)
    point = point[torch.argsort(x[point], stable=True)]
    point = point[torch.argsort(image[point], stable=True)]
    repeated = torch.stack([v[point].diff() == 0 for v in (image, x, y)]).all(0)
    point = point[torch.cat((repeated.new_ones(1), ~repeated))]

    side = 1  # of a tile, in cells
    while -(-h // side) * -(-w // side) * m > m + FIRST_PAIRS and side < max(h, w):
        side *= 2
    rows, cols = -(-h // side), -(-w // side)
    owner = image.new_full((n, rows, cols), m)
    row, col = (
        torch.arange(rows, device=device)[:, None, None],
        torch.arange(cols, device=device)[:, None],
    )
    while True:
        # Tiles (row, col, point) by broadcasting; those beyond the grid are infinitely far.
        cx = cell_centre(col, side * stride).masked_fill_(col >= cols, torch.inf)
        cy = cell_centre(row, side * stride).masked_fill_(row >= rows, torch.inf)
        px, py = x.index_select(0, point), y.index_select(0, point)
        square = (px - cx).square_() + (py - cy).square_()
        tile = image.index_select(0, point) * rows + row.clamp(max=rows - 1)
        tile = (tile * cols + col.clamp(max=cols - 1)).flatten()
        least = square.new_full((owner.numel(),), torch.inf)
        least.scatter_reduce_(0, tile, square.flatten(), 'amin')
        least = least.index_select(0, tile).view_as(square)
        # The lowest index at the least distance: the answer for a cell, and a good q for a tile.
        nearest = torch.where(square == least, point, m).flatten()
        nearest = owner.flatten().scatter_reduce_(0, tile, nearest, 'amin', include_self=False)
        owner = nearest.view_as(owner)
        if side == 1:
            return owner

        q = nearest.index_select(0, tile)
        change = (px - x.index_select(0, q).view_as(square)).abs_()
        change += (py - y.index_select(0, q).view_as(square)).abs_()
        slack = 1e-12 * (least + (side * stride) ** 2)  # far above the rounding of the squares
        kept = square - least <= (side - 1) * stride * change + slack
        number = nearest.new_zeros(len(nearest)).scatter_add_(0, tile, kept.flatten().long())
        kept &= number.index_select(0, tile).view_as(kept) > 1
        kept = kept.nonzero(as_tuple=True)

        row, col, point = (t[kept] for t in torch.broadcast_tensors(row, col, point))
        half = torch.arange(2, device=device)
        row, col = 2 * row + half[:, None, None], 2 * col + half[:, None]
        side //= 2
        rows, cols = -(-h // side), -(-w // side)
        owner = owner.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :rows, :cols]
