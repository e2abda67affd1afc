"""Points of a density map by optimal transport (Lin and Chan: *Optimal Transport Minimization:
Crowd Localization on Density Maps for Semi-Supervised Counting*, CVPR 2023)."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from mmcrowd.models.localizers.density_map import check_density
from mmcrowd.ops.cells import cell_centre
from mmcrowd.registry import TASK_UTILS

SCALE = 32.0  # the cost is the squared distance over twice this
FIRST_EPSILON = 8.0  # annealing starts there, or at the largest cost if that is larger
DECAY = 0.75
LAST_EPSILON = 0.01

DRAWS = 16  # rounds of drawing start positions that are pixels of their own

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


@TASK_UTILS.register_module()
class OTMinimization:
    r"""Move N points until each is the barycentre of its share of the density, N the count.

    The density :math:`a` is scaled to the sum :math:`N = \lfloor \sum_i a_i + 1/2 \rfloor`
    (:func:`number_of_points`), and N start positions are drawn from it (:func:`draw_starts`).
    Then, with :math:`C_{in} = \|x_i - y_n\|^2 / (2 \cdot 32)` in input pixels, each iteration finds
    the entropic plan

    .. math::
        P_{in} = a_i \exp\frac{f_i + g_n - C_{in}}{\epsilon}, \quad
        \sum_n P_{in} = a_i, \quad \sum_i P_{in} = 1

    and moves each point to the barycentre :math:`\sum_i P_{in} x_i` of its mass. The plan comes
    from one Sinkhorn step, of :math:`f` and then of :math:`g`, at each :math:`\epsilon` from
    :math:`\max(8, \max C)` down by the factor 0.75 to 0.01: the mass of each point is exactly one,
    that of a cell nearly :math:`a_i`. The iterations end when the points move by less than one
    pixel on average and by less than the stride at most.

    No (cells x points) matrix is made. Where :math:`\epsilon` is large, the density is taken on a
    coarser grid, of at least three steps to the kernel's standard deviation, and the kernel as the
    product of its factors along the two axes (:func:`separable_step`), which take rows plus
    columns times points of memory. Where it is small, only pairs that take a share of mass enter
    (:func:`sparse_step`), some at a time.

    Cells below zero count for N but have no mass. The work is done on the host in float64. What
    differs from the program that the authors have published is in a table of
    ``docs/localization.md``.

    Args:
        max_iterations (int): Iterations at most. Defaults to 16.
        score_radius (float): Root mean square distance, in input pixels, between a point and its
            mass at which its score is one half. Defaults to 8.
        seed (int): Of the start positions. Each call starts from it afresh. Defaults to 0.

    Raises:
        ValueError: No iterations, or a radius that is not positive.
    """

    def __init__(self, max_iterations: int = 16, score_radius: float = 8.0, seed: int = 0) -> None:
        if max_iterations < 1 or not score_radius > 0:
            raise ValueError(
                'OTMinimization: max_iterations and score_radius must be positive, but got '
                f'{max_iterations} and {score_radius}'
            )
        self.max_iterations = max_iterations
        self.score_radius = score_radius
        self.seed = seed

    @torch.no_grad()
    def __call__(self, density: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Find the points of one image.

        Args:
            density (Tensor): ``(h, w)`` persons per cell.
            stride (int): Input pixels per cell. Cell (i, j) has its centre at
                ``(j * stride + (stride - 1) / 2, i * stride + (stride - 1) / 2)``.

        Returns:
            tuple[Tensor, Tensor]: ``(N, 2)`` points ``(x, y)`` in input pixels, inside the
            rectangle of the cell centres, and their ``(N,)`` scores ``1 / (1 + d2 / r**2)``, with
            d2 the mean squared distance between a point and its mass and r the ``score_radius``:
            near 1 for a head that the density shows as a sharp peak, near 0 for a person made up
            of smear. Float32, on the device of the density, by falling score.

        Raises:
            ValueError: The density is not ``(h, w)``, not of a floating type or not finite.
        """
        check_density(density, stride, type(self).__name__)
        mass = density.detach().cpu().double().numpy()
        num_points = number_of_points(mass)
        points, scores = np.zeros((0, 2)), np.zeros(0)
        if num_points:
            mass = mass.clip(min=0)
            mass *= num_points / mass.sum()
            starts = draw_starts(mass, num_points, stride, np.random.default_rng(self.seed))
            points, spread = minimize_transport(mass, starts, stride, self.max_iterations)
            scores = 1 / (1 + spread / self.score_radius**2)
        order = np.argsort(-scores, kind='stable')
        return tuple(
            torch.from_numpy(array[order]).to(density.device, torch.float32)
            for array in (points, scores)
        )


def number_of_points(density: np.ndarray) -> int:
    """How many people a density stands for: its sum, rounded half up; none below one half."""
    return max(math.floor(density.sum() + 0.5), 0)


def draw_starts(
    mass: np.ndarray, num_points: int, stride: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw pixels of the bilinearly upsampled density without replacement.

    The upsampled density is never made: it is that of a cell drawn by mass, moved along each axis
    by a length whose chance falls evenly to zero at the stride, and mirrored at the border. Drawing
    again whenever a pixel repeats is drawing without replacement. Where the mass is on so few
    pixels that this does not end within 16 rounds of N, the missing starts are drawn with
    replacement, as positions within their pixels.

    Args:
        mass (ndarray): ``(h, w)`` float64, not negative, with a positive sum.
        num_points (int): N.
        stride (int): Input pixels per cell.
        rng (Generator): Source of chance.

    Returns:
        ndarray: ``(N, 2)`` float64 positions ``(x, y)`` in input pixels.
    """
    size = np.array(mass.shape[::-1]) * stride
    cumulative = mass.ravel().cumsum()
    offsets = np.arange(1 - stride, stride) if stride % 2 else np.arange(0.5 - stride, stride)
    weights = (1 - np.abs(offsets) / stride) / stride
    pixels = np.zeros(0, np.int64)
    for _ in range(DRAWS):
        # The product may round up to the sum itself, which no cell is beyond.
        chance = np.minimum(
            rng.random(num_points) * cumulative[-1], np.nextafter(cumulative[-1], 0)
        )
        cell = np.searchsorted(cumulative, chance, side='right')
        centre = np.stack((cell % mass.shape[1], cell // mass.shape[1]), 1) * stride + stride / 2
        from_edge = np.abs(centre + rng.choice(offsets, (num_points, 2), p=weights))
        pixel = (size - np.abs(size - from_edge) - 0.5).astype(np.int64)
        pixels = np.concatenate((pixels, pixel @ [1, size[0]]))
        _, first = np.unique(pixels, return_index=True)
        pixels = pixels[np.sort(first)][:num_points]
        if len(pixels) == num_points:
            break
    starts = np.stack((pixels % size[0], pixels // size[0]), 1).astype(np.float64)
    missing = num_points - len(pixels)
    return np.concatenate((starts, pixel[:missing] + rng.uniform(-0.5, 0.5, (missing, 2))))


def minimize_transport(
    mass: np.ndarray, starts: np.ndarray, stride: int, max_iterations: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Move points to the barycentres of their plan until they rest, see :class:`OTMinimization`.

    Args:
        mass (ndarray): ``(h, w)`` float64, not negative, with the sum N.
        starts (ndarray): ``(N, 2)`` float64 positions ``(x, y)`` in input pixels, N at least 1.
        stride (int): Input pixels per cell.
        max_iterations (int): Iterations at most. Defaults to 16.

    Returns:
        tuple[ndarray, ndarray]: ``(N, 2)`` points, and the ``(N,)`` mean squared distance in
        pixels of each from its mass.
    """
    grids, pyramid = build_grids(mass, stride), build_pyramid(mass, stride)
    points = starts
    for _ in range(max_iterations):
        previous = points
        points, spread = transport(grids, pyramid, previous, stride)
        moved = np.hypot(*(points - previous).T)
        if moved.mean() < 1 and moved.max() < stride:
            break
    return points, spread


class Grid(NamedTuple):
    """Mass on the nodes of a regular grid.

    Attributes:
        mass (ndarray): ``(h, w)`` mass of each node.
        centres (tuple[ndarray, ndarray]): ``(h,)`` and ``(w,)`` coordinates y and x of the nodes
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
        mass (ndarray): ``(h, w)`` mass of each cell.
        stride (int): Input pixels per cell.

    Returns:
        list[Grid]: From the grid of the cells to the first of at most 8 x 8 nodes.
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
        mass (ndarray): ``(h, w)`` mass of each tile.
        moments (ndarray): ``(h * w, 4)`` sums of 1, x, y and x**2 + y**2 over the mass of each
            tile, in input pixels.
        centres (tuple[ndarray, ndarray]): ``(h,)`` and ``(w,)`` coordinates y and x, in input
            pixels, of the middle of each tile's cell centres.
        halves (tuple[ndarray, ndarray]): ``(h,)`` and ``(w,)`` distances from there to the
            outermost cell centres along each axis.
    """

    mass: np.ndarray
    moments: np.ndarray
    centres: tuple[np.ndarray, np.ndarray]
    halves: tuple[np.ndarray, np.ndarray]


def build_pyramid(mass: np.ndarray, stride: int) -> list[Tiles]:
    """Join cells two by two along each axis, again and again, until one tile is left.

    Args:
        mass (ndarray): ``(h, w)`` mass of each cell.
        stride (int): Input pixels per cell.

    Returns:
        list[Tiles]: From the cells to the whole.
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


def transport(
    grids: list[Grid], pyramid: list[Tiles], points: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the barycentres of the annealed plan of :class:`OTMinimization`.

    Args:
        grids (list[Grid]): Of the density, with the sum N.
        pyramid (list[Tiles]): Of the same.
        points (ndarray): ``(N, 2)`` positions ``(x, y)`` in input pixels.
        stride (int): Input pixels per cell.

    Returns:
        tuple[ndarray, ndarray]: ``(N, 2)`` barycentres, and the ``(N,)`` mean squared distance in
        pixels of each from its mass.
    """
    # the farthest cell of a point is a corner of the map
    low, high = (np.array([centre[k] for centre in grids[0].centres[::-1]]) for k in (0, -1))
    farthest = np.square(np.maximum(points - low, high - points)).sum(1).max()
    epsilon = max(FIRST_EPSILON, farthest / (2 * SCALE))
    potential = np.zeros(len(points))
    while epsilon > LAST_EPSILON:
        # standard deviation of the kernel, in cells and then in steps of the grid
        width = math.sqrt(SCALE * epsilon) / stride
        level = min(max(math.floor(math.log2(width / FINENESS)), 0), len(grids) - 1)
        width /= 2**level
        pairs = 2 * math.pi * CUTOFF * width**2  # of a point
        updated = None
        if PAIR_COST * pairs > grids[level].mass.size:
            updated = separable_step(grids[level], points, potential, epsilon)
        if updated is None:
            level = min(level, len(pyramid) - 1)
            updated, _ = sparse_step(pyramid, level, points, potential, epsilon)
        potential = updated
        epsilon *= DECAY
    _, moments = sparse_step(pyramid, 0, points, potential, LAST_EPSILON, moments=True)
    barycentres = moments[:, :2]
    spread = moments[:, 2] - np.square(barycentres).sum(1)
    return barycentres, spread.clip(min=0)


def separable_step(
    grid: Grid, points: np.ndarray, potential: np.ndarray, epsilon: float
) -> np.ndarray | None:
    r"""One Sinkhorn step by matrix products with the factors of the kernel along the two axes.

    .. math::
        f_i = -\epsilon \log \sum_n \exp \frac{g_n - C_{in}}{\epsilon}, \qquad
        g'_n = -\epsilon \log \sum_i a_i \exp \frac{f_i - C_{in}}{\epsilon}

    Args:
        grid (Grid): Places :math:`x_i` and mass :math:`a_i`.
        points (ndarray): ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential (ndarray): ``(N,)`` :math:`g`.
        epsilon (float): :math:`\epsilon`.

    Returns:
        ndarray: ``(N,)`` :math:`g'`, or None if a sum leaves the range of float64.
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
        pyramid (list[Tiles]): Of the density.
        level (int): Whose tiles are meant.
        points (ndarray): ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential (ndarray): ``(N,)`` potential of the points.
        epsilon (float): Of the step.
        moments (bool): Find the moments too. Defaults to False.

    Returns:
        tuple[ndarray, ndarray]: ``(N,)`` new potential, and the ``(N, 3)`` means of x, y and
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
        level (int): Of the tiles, in the pyramid.
        tile (ndarray): ``(t,)`` flat index of each.
        shares (csr_array): ``(t, N)``, with rows that sum to one.
        potential (ndarray): ``(t,)`` potential of each; None above the leaves.
    """

    level: int
    tile: np.ndarray
    shares: csr_array
    potential: np.ndarray | None


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
        pyramid (list[Tiles]): Of the density.
        leaf (int): Level where the search ends; its tiles count with their centres.
        points (ndarray): ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential (ndarray): ``(N,)`` potential of the points.
        epsilon (float): Of the kernel.
        settle (bool): End the search at a tile that is left with one point. Defaults to True.

    Yields:
        Block: Tiles that together hold all mass, once.
    """
    x, y = np.ascontiguousarray(points.T)
    # a level, some of its tiles, and for each the start and the number of its candidates in a list
    whole = np.zeros(1, np.int64)
    stack = [(len(pyramid) - 1, whole, whole, np.array([len(points)]), np.arange(len(points)))]
    while stack:
        level, tile, start, count, point = stack.pop()
        tiles = pyramid[level]
        place = np.divmod(tile, tiles.mass.shape[1])
        dy, dx = (
            np.repeat(centre[k], count) - of_point[point]
            for centre, k, of_point in zip(tiles.centres, place, (y, x), strict=True)
        )
        trail = (dx * dx + dy * dy) / (2 * SCALE) - potential[point]
        least = np.minimum.reduceat(trail, start)
        trail -= np.repeat(least, count)
        allowed = np.full(len(trail), CUTOFF * epsilon)
        if level > leaf:
            best = np.flatnonzero(trail == 0)
            best = best[np.searchsorted(best, start)]  # the first of each tile
            for offset, half, k in zip((dy, dx), tiles.halves, place, strict=True):
                apart = np.abs(offset - np.repeat(offset[best], count))
                allowed += apart * np.repeat(half[k] / SCALE, count)
        keep = trail < allowed
        point = point[keep]
        count = np.add.reduceat(keep, start, dtype=np.int64)
        start = count.cumsum() - count

        if level == leaf:
            share = np.exp(-trail[keep] / epsilon)
            total = np.add.reduceat(share, start)
            share /= np.repeat(total, count)
            shares = csr_array(
                (share, point, np.append(start, len(point))), shape=(len(tile), len(points))
            )
            yield Block(level, tile, shares, least - epsilon * np.log(total))
            continue
        going = np.full(len(tile), True)
        if settle:
            going = count > 1
            settled = tile[~going]
            rows = np.arange(len(settled) + 1)
            shares = csr_array(
                (np.ones(len(settled)), point[start[~going]], rows),
                shape=(len(settled), len(points)),
            )
            yield Block(level, settled, shares, None)
        going = np.flatnonzero(going)
        child, parent = children_with_mass(pyramid[level - 1].mass, *(k[going] for k in place))
        parent = going[parent]
        end = count[parent].cumsum()
        cuts = np.unique(np.searchsorted(end, np.arange(0, end[-1:].sum(), CHUNK), side='right'))
        for part in np.split(np.arange(len(child)), cuts[1:]):
            if len(part):
                number = count[parent[part]]
                first = number.cumsum() - number
                pick = np.arange(number.sum()) + np.repeat(start[parent[part]] - first, number)
                stack.append((level - 1, child[part], first, number, point[pick]))


def children_with_mass(
    mass: np.ndarray, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of the next finer level that lie in some tiles and have mass.

    Args:
        mass (ndarray): ``(h, w)`` mass of the tiles of the finer level.
        row (ndarray): ``(t,)`` rows of the coarser tiles.
        column (ndarray): ``(t,)`` columns of the coarser tiles.

    Returns:
        tuple[ndarray, ndarray]: Flat index of each, and the place in the list of the tile that it
        lies in.
    """
    parent = np.repeat(np.arange(len(row)), 4)
    row = (2 * row[:, None] + [0, 0, 1, 1]).ravel()
    column = (2 * column[:, None] + [0, 1, 0, 1]).ravel()
    inside = (row < mass.shape[0]) & (column < mass.shape[1])
    child, parent = row[inside] * mass.shape[1] + column[inside], parent[inside]
    held = mass.ravel()[child] > 0
    return child[held], parent[held]
