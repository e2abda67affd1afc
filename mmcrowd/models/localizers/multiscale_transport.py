"""The transport of :class:`OTMinimization` without (cells x points) matrices.

:func:`multiscale_transport` stands in for :func:`~.dense_transport.dense_transport`. Each Sinkhorn
step of the annealing takes one of two forms. Where epsilon is large, the density is taken on a
coarser grid, of at least three steps to the kernel's standard deviation, and the kernel as the
product of its factors along the two axes (:func:`separable_step`), which take rows plus columns
times points of memory. Where it is small, only pairs that take a share of mass enter
(:func:`sparse_step`), found by going down a pyramid of tiles (:func:`plan_blocks`), some at a time.
Annealing from coarse to fine with truncation is the idea of Schmitzer: *Stabilized Sparse Scaling
Algorithms for Entropy Regularized Transport Problems* (SIAM Journal on Scientific Computing 2019).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mmcrowd.models.localizers.dense_transport import SCALE, annealing
from mmcrowd.ops.cells import cell_centre

# A pair of a cell and a point is left out if the cell gives the point less than exp(-CUTOFF) of
# what it gives its best point.
CUTOFF = 10.0
# Pairs that are worked on at a time: few enough for the cache, enough to outweigh the calls.
CHUNK = 2**15
# Time of one such pair, in multiplications of a matrix product.
PAIR_COST = 500
# Least standard deviation of the kernel on a coarse grid, in steps of the grid.
FINENESS = 3
SMALLEST = 1e-280  # a sum below it may have lost terms to underflow


def multiscale_transport(
    mass: np.ndarray, points: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the barycentres of the annealed plan of :class:`OTMinimization`.

    Arguments and result are those of :func:`~.dense_transport.dense_transport`; the work is done in
    float64.
    """
    grids, pyramid = build_grids(mass, stride), build_pyramid(mass, stride)
    # The farthest cell of a point is a corner of the map.
    low, high = (np.array([centre[k] for centre in grids[0].centres[::-1]]) for k in (0, -1))
    farthest = np.square(np.maximum(points - low, high - points)).sum(1).max()
    *steps, last = annealing(farthest / (2 * SCALE))
    potential = np.zeros(len(points))
    for epsilon in steps:
        potential = sinkhorn_step(grids, pyramid, points, potential, epsilon, stride)
    _, moments = sparse_step(pyramid, 0, points, potential, last, moments=True)
    barycentres = moments[:, :2]
    spread = moments[:, 2] - np.square(barycentres).sum(1)
    return barycentres, spread.clip(min=0)


def sinkhorn_step(
    grids: list['Grid'],
    pyramid: list['Tiles'],
    points: np.ndarray,
    potential: np.ndarray,
    epsilon: float,
    stride: int,
) -> np.ndarray:
    """Take the step by the cheaper of the two forms that can.

    Args:
        grids: See :func:`build_grids`.
        pyramid: See :func:`build_pyramid`, of the same density.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        epsilon: Regularisation of the step.
        stride: Input pixels per cell.

    Returns:
        ``(N,)`` new potential.
    """
    # Standard deviation of the kernel, in cells and then in steps of the grid.
    width = math.sqrt(SCALE * epsilon) / stride
    level = min(max(math.floor(math.log2(width / FINENESS)), 0), len(grids) - 1)
    width /= 2**level
    pairs_per_point = 2 * math.pi * CUTOFF * width**2
    if PAIR_COST * pairs_per_point > grids[level].mass.size:
        updated = separable_step(grids[level], points, potential, epsilon)
        if updated is not None:
            return updated
    return sparse_step(pyramid, min(level, len(pyramid) - 1), points, potential, epsilon)[0]


class Grid(NamedTuple):
    """Mass on the nodes of a regular grid.

    Attributes:
        mass: ``(h, w)`` mass of each node.
        centres: ``(h,)`` and ``(w,)`` coordinates y and x of the nodes
            in input pixels.
    """

    mass: np.ndarray
    centres: tuple[np.ndarray, np.ndarray]


def build_grids(mass: np.ndarray, stride: int) -> list[Grid]:
    """Coarsen a map to every second node, again and again, for sums against smooth functions.

    A node that goes is split among the two neighbours that stay on either side by the weights of
    cubic interpolation, -1/16 and 9/16: a sum over the coarser grid is that of the interpolated
    function over the finer one. So mass may be negative, and there are nodes outside the map.

    Args:
        mass: ``(h, w)`` mass of each cell.
        stride: Input pixels per cell.

    Returns:
        From the grid of the cells to the first of at most 8 x 8 nodes.
    """
    first, step = cell_centre(0, stride), stride
    grids = []
    while True:
        grids.append(Grid(mass, tuple(first + step * np.arange(n) for n in mass.shape)))
        if max(mass.shape) <= 8:
            return grids
        for _ in range(2):  # each time along the first axis, then turned
            stay, go = mass[::2], mass[1::2]
            mass = np.zeros((len(go) + 3, mass.shape[1]))
            mass[1 : len(stay) + 1] = stay
            for shift, weight in enumerate((-1 / 16, 9 / 16, 9 / 16, -1 / 16)):
                mass[shift : shift + len(go)] += weight * go
            mass = mass.T
        mass = np.ascontiguousarray(mass)
        step *= 2
        first = first - step


class Tiles(NamedTuple):
    """Squares of cells that cover a map; on the finest level the cells themselves.

    Attributes:
        mass: ``(h, w)`` mass of each tile.
        moments: ``(h * w, 4)`` sums of 1, x, y and x**2 + y**2 over the mass of each
            tile, in input pixels.
        centres: ``(h,)`` and ``(w,)`` coordinates y and x, in input
            pixels, of the middle of each tile's cell centres.
        halves: ``(h,)`` and ``(w,)`` distances from there to the
            outermost cell centres along each axis.
    """

    mass: np.ndarray
    moments: np.ndarray
    centres: tuple[np.ndarray, np.ndarray]
    halves: tuple[np.ndarray, np.ndarray]


def build_pyramid(mass: np.ndarray, stride: int) -> list[Tiles]:
    """Join cells two by two along each axis, again and again, until one tile is left.

    Args:
        mass: ``(h, w)`` mass of each cell.
        stride: Input pixels per cell.

    Returns:
        From the cells to the whole.
    """
    lows = highs = [cell_centre(np.arange(n), stride) for n in mass.shape]
    y, x = np.meshgrid(*lows, indexing='ij')
    moments = np.stack((mass, mass * x, mass * y, mass * (x * x + y * y)), 2)
    pyramid = []
    while True:
        centres = tuple((low + high) / 2 for low, high in zip(lows, highs, strict=True))
        halves = tuple((high - low) / 2 for low, high in zip(lows, highs, strict=True))
        mass = np.ascontiguousarray(moments[:, :, 0])
        pyramid.append(Tiles(mass, moments.reshape(-1, 4), centres, halves))
        if mass.size == 1:
            return pyramid
        for axis in range(2):
            moments = np.add.reduceat(moments, np.arange(0, moments.shape[axis], 2), axis)
        lows = [low[::2] for low in lows]
        # the last tile of an odd number stays alone
        highs = [np.append(high[1::2], high[-1:])[: -(-len(high) // 2)] for high in highs]


def separable_step(
    grid: Grid, points: np.ndarray, potential: np.ndarray, epsilon: float
) -> np.ndarray | None:
    r"""One Sinkhorn step by matrix products with the factors of the kernel along the two axes.

    .. math::
        f_i = -\epsilon \log \sum_n \exp \frac{g_n - C_{in}}{\epsilon}, \qquad
        g'_n = -\epsilon \log \sum_i a_i \exp \frac{f_i - C_{in}}{\epsilon}

    Args:
        grid: Places :math:`x_i` and mass :math:`a_i`.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` :math:`g`.
        epsilon: :math:`\epsilon`.

    Returns:
        ``(N,)`` :math:`g'`, or None if a sum leaves the range of float64.
    """
    rows, columns = (
        np.exp(-np.square(centre[:, None] - p) / (2 * SCALE * epsilon))
        for centre, p in zip(grid.centres, points.T[::-1], strict=True)
    )
    top = potential.max()
    sums = (rows * np.exp((potential - top) / epsilon)) @ columns.T
    held = grid.mass != 0
    if sums[held].min() < SMALLEST:
        return None
    shares = np.divide(grid.mass, sums, out=np.zeros_like(sums), where=held)
    totals = ((shares.T @ rows) * columns).sum(0)
    if totals.min() < SMALLEST:
        return None
    return top - epsilon * np.log(totals)


def sparse_step(
    pyramid: list[Tiles],
    level: int,
    points: np.ndarray,
    potential: np.ndarray,
    epsilon: float,
    moments: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The step of :func:`separable_step` on the pairs of a tile and a point that matter.

    Args:
        pyramid: Of the density.
        level: Whose tiles are meant.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        epsilon: Of the step.
        moments: Find the moments too. Defaults to False.

    Returns:
        ``(N,)`` new potential, and the ``(N, 3)`` means of x, y and
        x**2 + y**2 over the mass of each point, in input pixels (``(N, 0)`` without moments).
    """
    columns = slice(4 if moments else 1)
    totals = np.zeros((len(points), 4))[:, columns]
    for block in plan_blocks(pyramid, level, points, potential, epsilon):
        totals += block.shares.T @ pyramid[block.level].moments[block.tile, columns]

    # What a point gets that is hardly any tile's choice comes largely from pairs left out above.
    fed = totals[:, 0] > math.exp(-CUTOFF / 2)
    updated = potential.copy()
    updated[fed] -= epsilon * np.log(totals[fed, 0])
    if not fed.all():
        tiles = pyramid[level]
        y, x = (axis.ravel() for axis in np.meshgrid(*tiles.centres, indexing='ij'))
        tile_potential = np.full(x.size, -math.inf)
        for block in plan_blocks(pyramid, level, points, potential, epsilon, settle=False):
            tile_potential[block.tile] = block.potential
        held = np.flatnonzero(tiles.mass)
        starved = np.flatnonzero(~fed)
        for part in np.array_split(starved, -(-len(starved) * len(held) // CHUNK)):
            distance = (x[held] - points[part, :1]) ** 2 + (y[held] - points[part, 1:]) ** 2
            share = (tile_potential[held] - distance / (2 * SCALE)) / epsilon
            largest = share.max(1, initial=-math.inf)
            share = np.exp(share - largest[:, None])
            totals[part] = share @ tiles.moments[held, columns]
            updated[part] = -epsilon * (largest + np.log(totals[part, 0]))
    return updated, totals[:, 1:] / totals[:, :1]


class Block(NamedTuple):
    """Some tiles and what share of its mass each gives to each point.

    Attributes:
        level: Of the tiles, in the pyramid.
        tile: ``(t,)`` flat index of each.
        shares: ``(t, N)``, with rows that sum to one.
        potential: ``(t,)`` potential of each; None above the leaves.
    """

    level: int
    tile: np.ndarray
    shares: csr_array
    potential: np.ndarray | None


class Front(NamedTuple):
    """Tiles of one level where the search for pairs goes on, and the points that may matter there.

    Attributes:
        level: Level of the tiles in the pyramid.
        tile: ``(t,)`` flat index of each.
        start: ``(t,)`` first candidate of each tile in ``point``.
        count: ``(t,)`` number of its candidates, at least 1.
        point: ``(c,)`` points that are candidates, tile after tile.
    """

    level: int
    tile: np.ndarray
    start: np.ndarray
    count: np.ndarray
    point: np.ndarray


def plan_blocks(
    pyramid: list[Tiles],
    leaf: int,
    points: np.ndarray,
    potential: np.ndarray,
    epsilon: float,
    settle: bool = True,
) -> Iterator[Block]:
    """Find the pairs of a tile and a point that take a share of the tile's mass.

    The search goes down the pyramid. The cost less the potential of one point leads that of another
    by a difference that is linear over a tile, so its least value there is known. A point that
    trails the best one of the tile's centre by more than the cutoff all over the tile is dropped.
    So no pair is lost, and a tile that is left with one point gives it all its mass, without a look
    at its cells.

    Args:
        pyramid: Tiles of the density.
        leaf: Level where the search ends; its tiles count with their centres.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        epsilon: Regularisation of the kernel.
        settle: End the search at a tile that is left with one point. Defaults to True.

    Yields:
        Tiles that together hold all mass, once.
    """
    num_points = len(points)
    whole = np.zeros(1, np.int64)
    top = len(pyramid) - 1
    stack = [Front(top, whole, whole, np.array([num_points]), np.arange(num_points))]
    while stack:
        front = stack.pop()
        reach = CUTOFF * epsilon
        front, trail, least = drop_candidates(
            pyramid[front.level], front, points, potential, reach, whole_tile=front.level > leaf
        )
        if front.level == leaf:
            share = np.exp(-trail / epsilon)
            total = np.add.reduceat(share, front.start)
            share /= np.repeat(total, front.count)
            shares = csr_array(
                (share, front.point, np.append(front.start, len(front.point))),
                shape=(len(front.tile), num_points),
            )
            yield Block(leaf, front.tile, shares, least - epsilon * np.log(total))
            continue
        going = np.full(len(front.tile), True)
        if settle:
            going = front.count > 1
            settled = front.tile[~going]
            shares = csr_array(
                (
                    np.ones(len(settled)),
                    front.point[front.start[~going]],
                    np.arange(len(settled) + 1),
                ),
                shape=(len(settled), num_points),
            )
            yield Block(front.level, settled, shares, None)
        stack += descend(pyramid, front, np.flatnonzero(going))


def drop_candidates(
    tiles: Tiles,
    front: Front,
    points: np.ndarray,
    potential: np.ndarray,
    reach: float,
    whole_tile: bool,
) -> tuple[Front, np.ndarray, np.ndarray]:
    """Drop the candidates that trail the best one of their tile too far.

    Args:
        tiles: Tiles of the level.
        front: Tiles and candidates.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        reach: How far a point may trail at the place that suits it best.
        whole_tile: Whether that place is anywhere between the tile's cells, or else its centre.

    Returns:
        What is left of the front; by how much each candidate that is left trails at the centre; and
        for each tile the cost less the potential of its best candidate there.
    """
    place = np.divmod(front.tile, tiles.mass.shape[1])
    dy, dx = (
        np.repeat(centre[k], front.count) - positions[front.point]
        for centre, k, positions in zip(tiles.centres, place, points.T[::-1], strict=True)
    )
    trail = (dx * dx + dy * dy) / (2 * SCALE) - potential[front.point]
    least = np.minimum.reduceat(trail, front.start)
    trail -= np.repeat(least, front.count)
    allowed = np.full(len(trail), reach)
    if whole_tile:
        best = np.flatnonzero(trail == 0)
        best = best[np.searchsorted(best, front.start)]  # the first of each tile
        for offset, half, k in zip((dy, dx), tiles.halves, place, strict=True):
            apart = np.abs(offset - np.repeat(offset[best], front.count))
            allowed += apart * np.repeat(half[k] / SCALE, front.count)
    keep = trail < allowed
    count = np.add.reduceat(keep, front.start, dtype=np.int64)
    start = count.cumsum() - count
    return Front(front.level, front.tile, start, count, front.point[keep]), trail[keep], least


def descend(pyramid: list[Tiles], front: Front, going: np.ndarray) -> Iterator[Front]:
    """Go from some tiles to the tiles with mass that they consist of, a chunk of pairs at a time.

    Args:
        pyramid: Tiles of the density.
        front: Tiles and candidates.
        going: Places in the front of the tiles where the search goes on.

    Yields:
        Fronts of the next finer level, in which each tile has the candidates of its parent.
    """
    place = np.divmod(front.tile[going], pyramid[front.level].mass.shape[1])
    child, parent = children_with_mass(pyramid[front.level - 1].mass, *place)
    parent = going[parent]
    end = front.count[parent].cumsum()
    cuts = np.unique(np.searchsorted(end, np.arange(0, end[-1:].sum(), CHUNK), side='right'))
    for part in np.split(np.arange(len(child)), cuts[1:]):
        if len(part):
            count = front.count[parent[part]]
            start = count.cumsum() - count
            pick = np.arange(count.sum()) + np.repeat(front.start[parent[part]] - start, count)
            yield Front(front.level - 1, child[part], start, count, front.point[pick])


def children_with_mass(
    mass: np.ndarray, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of the next finer level that lie in some tiles and have mass.

    Args:
        mass: ``(h, w)`` mass of the tiles of the finer level.
        row: ``(t,)`` rows of the coarser tiles.
        column: ``(t,)`` columns of the coarser tiles.

    Returns:
        Flat index of each, and the place in the list of the tile that it
        lies in.
    """
    parent = np.repeat(np.arange(len(row)), 4)
    row = (2 * row[:, None] + [0, 0, 1, 1]).ravel()
    column = (2 * column[:, None] + [0, 1, 0, 1]).ravel()
    inside = (row < mass.shape[0]) & (column < mass.shape[1])
    child, parent = row[inside] * mass.shape[1] + column[inside], parent[inside]
    held = mass.ravel()[child] > 0
    return child[held], parent[held]
