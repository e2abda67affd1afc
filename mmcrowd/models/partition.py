"""The divide stage: every cell of a density map goes to its nearest point.

Only torch and numpy are used, and one algorithm serves every device, so that the loader workers and a loss on the
accelerator find the same index.
"""
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

FIRST_TRIALS = 2**14  # of points on tiles, at the start of the search; enough to skip levels that settle nothing


class Partition(NamedTuple):
    """Nearest point of every cell, for a batch.

    Attributes:
        index (Tensor): ``(N, h, w)`` int64, position of the nearest point in its image's list; -1 everywhere in an image
            without points.
        distance (Tensor): ``(N, h, w)`` float32 (float64 for float64 points), from the cell's centre to that point in
            input pixels; +inf everywhere in an image without points.
    """

    index: Tensor
    distance: Tensor


def nearest_point_partition(
        points: Tensor | np.ndarray, size: tuple[int, int],
        stride: int) -> tuple[Tensor, Tensor] | tuple[np.ndarray, np.ndarray]:
    """Find the nearest point of every cell of one image.

    Args:
        points (Tensor | ndarray): ``(m, 2)`` positions ``(x, y)`` in input pixels. They may lie outside the frame or
            coincide, and m may be 0.
        size (tuple[int, int]): Height and width ``(h, w)`` of the density map, in cells.
        stride (int): Input pixels per cell.

    Returns:
        tuple: ``index`` and ``distance``, each ``(h, w)``, as in :class:`Partition`; tensors on the points' device, or
        arrays if the points are an array.

    Raises:
        ValueError: The points are not ``(m, 2)`` or not finite, or size or stride is not positive.
    """
    if isinstance(points, np.ndarray):
        index, distance = nearest_point_partition(torch.from_numpy(points), size, stride)
        return index.numpy(), distance.numpy()
    index, distance = partition_batch([points], size, stride)
    return index[0], distance[0]


@torch.no_grad()
def partition_batch(points: list[Tensor], size: tuple[int, int], stride: int) -> Partition:
    """Find the nearest point of every cell for a batch of images of one size.

    The search is exact: squared distances are compared in float64, and a tie goes to the lowest index. Time and memory
    grow with the cells plus the points, not with their product.

    Args:
        points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        size (tuple[int, int]): Height and width ``(h, w)`` of the density maps, in cells.
        stride (int): Input pixels per cell. Cell (i, j) has its centre at
            ``(j * stride + (stride - 1) / 2, i * stride + (stride - 1) / 2)``.

    Returns:
        Partition: ``index`` and ``distance``, each ``(N, h, w)``.

    Raises:
        ValueError: As for :func:`nearest_point_partition`.
    """
    h, w = size
    if min(h, w, stride) < 1:
        raise ValueError(f'size and stride must be positive, but got size={tuple(size)}, stride={stride}')
    for i, p in enumerate(points):
        if p.ndim != 2 or p.shape[1] != 2:
            raise ValueError(f'points of image {i} must have the shape (m, 2), but got {tuple(p.shape)}')
    every = torch.cat(points)
    counts = torch.tensor([len(p) for p in points], device=every.device)
    image = torch.arange(len(points), device=every.device).repeat_interleave(counts)
    if not every.isfinite().all():
        bad = int((~every.isfinite()).any(1).nonzero()[0])
        raise ValueError(f'points must be finite, but image {int(image[bad])} has {every[bad].tolist()}')

    x, y = every.double().T.contiguous()
    owner = _search(x, y, image, (len(points), h, w), stride)
    # The cells of an image without points are owned by one that is infinitely far.
    far = x.new_full((1, ), torch.inf)
    dx = torch.cat((x, far)).index_select(0, owner.flatten()).view_as(owner) - _centres(w, 1, stride, x.device)[0]
    dy = torch.cat((y, far)).index_select(0, owner.flatten()).view_as(owner) - _centres(h, 1, stride, x.device)[0][:, None]
    distance = (dx.square_() + dy.square_()).sqrt_()
    first = torch.where(counts > 0, counts.cumsum(0) - counts, len(x) + 1)
    return Partition(owner - first[:, None, None], distance.to(torch.promote_types(every.dtype, torch.float32)))


def _centres(length: int, side: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Middle and half-extent, along one axis, of the cell centres in each tile of ``side`` cells; the last is clipped."""
    low = torch.arange(0, length, side, device=device)
    high = (low + side - 1).clamp_(max=length - 1)
    return (low + high).double() * (stride / 2) + (stride - 1) / 2, (high - low).double() * (stride / 2)


def _product(row: Tensor, col: Tensor, point: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Broadcast tile coordinates against points into flat lists of equal length."""
    return tuple(t.flatten() for t in torch.broadcast_tensors(row, col, point))


def _search(x: Tensor, y: Tensor, image: Tensor, shape: tuple[int, int, int], stride: int) -> Tensor:
    """Descend a pyramid of tiles to the nearest point of every cell.

    A tile is tried with a list of points. It keeps q, the nearest to its centre, and every p that is not farther than q
    from the whole tile: ``|c - p|^2 - |c - q|^2`` is linear in the position c, so p is farther everywhere if the value at
    the centre exceeds the largest change towards a corner. A tile that keeps only q is settled; the others are quartered,
    down to single cells.

    Args:
        x, y (Tensor): ``(M,)`` float64, positions of all points of the batch.
        image (Tensor): ``(M,)`` int64, the image of each.
        shape (tuple[int, int, int]): ``(N, h, w)``.
        stride (int): Input pixels per cell.

    Returns:
        Tensor: ``(N, h, w)`` int64, the nearest among the M points; M where the image has none.
    """
    n, h, w = shape
    m = len(x)
    if m == 0:
        return image.new_full(shape, m)
    device = x.device
    # Of coinciding points only the first can own a cell: sort by place (stably), and drop those equal to the one before.
    point = torch.argsort(y, stable=True)
    point = point[torch.argsort(x[point], stable=True)]
    point = point[torch.argsort(image[point], stable=True)]
    repeats = torch.stack([v[point].diff() == 0 for v in (image, x, y)]).all(0)
    point = point[torch.cat((repeats.new_ones(1), ~repeats))]

    side = 1  # start on the finest tiles that are few enough to try every point on each
    while -(-h // side) * -(-w // side) * m > m + FIRST_TRIALS and side < max(h, w):
        side *= 2
    rows, cols = -(-h // side), -(-w // side)
    owner = image.new_full((n, rows, cols), m)
    row, col, point = _product(
        torch.arange(rows, device=device)[:, None, None], torch.arange(cols, device=device)[:, None], point)
    while True:
        cx, hx = _centres(w, side, stride, device)
        cy, hy = _centres(h, side, stride, device)
        tile = (image.index_select(0, point) * rows + row) * cols + col
        px, py = x.index_select(0, point), y.index_select(0, point)
        square = (px - cx.index_select(0, col)).square_() + (py - cy.index_select(0, row)).square_()
        least = square.new_full((owner.numel(), ), torch.inf).scatter_reduce_(0, tile, square, 'amin')
        least = least.index_select(0, tile)
        # lowest index at the least distance: right for a single cell, and as good as any for a larger tile
        nearest = torch.where(square == least, point, m)
        nearest = owner.new_full((owner.numel(), ), m).scatter_reduce_(0, tile, nearest, 'amin')
        owner = torch.where(nearest < m, nearest, owner.flatten()).view_as(owner)
        if side == 1:
            return owner

        q = nearest.index_select(0, tile)
        reach = 2 * ((px - x.index_select(0, q)).abs_() * hx.index_select(0, col) +
                     (py - y.index_select(0, q)).abs_() * hy.index_select(0, row))
        slack = 1e-12 * (square + (side * stride)**2)  # far above the rounding of any square compared here
        kept = ~(square - least > reach + slack)
        unsettled = tile.new_zeros(owner.numel(), dtype=torch.bool)
        unsettled[tile[kept & (point != q)]] = True
        kept = (kept & unsettled.index_select(0, tile)).nonzero().squeeze(1)

        side //= 2
        rows, cols = -(-h // side), -(-w // side)
        owner = owner.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :rows, :cols]
        half = torch.arange(2, device=device)
        row, col, point = _product(2 * row[kept] + half[:, None, None], 2 * col[kept] + half[:, None], point[kept])
        inside = (row < rows) & (col < cols)
        if not inside.all():
            row, col, point = row[inside], col[inside], point[inside]
