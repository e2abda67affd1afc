"""The transport of :class:`OTMinimization` without (cells x points) matrices.

:class:`MultiscaleTransport` stands in for :func:`~.dense_transport.dense_transport`. In each
Sinkhorn step of the annealing the density is taken on a grid as coarse as epsilon allows, of at
least three steps to the kernel's standard deviation, and the kernel as the product of its factors
along the two axes. Where it is wide, these are matrices of rows or columns times all points
(:func:`separable_step`); where it is narrow, of those of a tile times the points that take a share
of its mass (:func:`tiled_step`), found by going down a pyramid of tiles (:func:`plan_blocks`).
Annealing from coarse to fine with truncation is the idea of Schmitzer: *Stabilized Sparse Scaling
Algorithms for Entropy Regularized Transport Problems* (SIAM Journal on Scientific Computing 2019).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mmcrowd.models.localizers.dense_transport import SCALE, annealing
from mmcrowd.ops.cells import cell_centre

# A pair of a cell and a point is left out if the cell gives the point less than exp(-CUTOFF) of
# what it gives its best point.
CUTOFF = 10.0
# Pairs of a tile and a point that are worked on at a time: few enough for the cache, enough to
# outweigh the calls.
CHUNK = 2**15
# Pairs of a node and a point, where a point has to look at all nodes.
NODE_CHUNK = 2**17
# Tiles of so many doublings, 16 x 16 nodes, are not divided further if they need not be.
LEAF = 4
# Largest exponent of a kernel's factor in a tile.
LARGEST = 300.0
# Time of a pair of a node and a point in :func:`tiled_step`, in such times in a product of whole
# matrices.
TILED_COST = 6
# Least standard deviation of the kernel on a coarse grid, in steps of the grid.
FINENESS = 3
SMALLEST = 1e-280  # a sum below it may have lost terms to underflow


class MultiscaleTransport:
    """The barycentres of the annealed plan of :class:`OTMinimization`, for points of one density.

    What depends on the density alone is made once. The result is that of
    :func:`~.dense_transport.dense_transport`; the work is done in float64.

    Args:
        mass: ``(h, w)`` mass of each cell, not negative, with the sum N.
        stride: Input pixels per cell.

    Examples:
        >>> transport = MultiscaleTransport(np.array([[1.0, 0.0, 0.5, 0.5]]), stride=2)
        >>> barycentres, spread = transport(np.array([[0.0, 0.0], [5.0, 0.0]]))
        >>> barycentres.round(2)
        array([[0.5, 0.5],
               [5.5, 0.5]])
    """

    def __init__(self, mass: np.ndarray, stride: int) -> None:
        self.stride = stride
        self.grids = build_grids(mass, stride)
        self._pyramids: dict[int, Pyramid] = {}

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the barycentres.

        Args:
            points: ``(N, 2)`` float64 positions ``(x, y)`` in input pixels.

        Returns:
            ``(N, 2)`` barycentres, and the ``(N,)`` mean squared distance in pixels of each from
            its mass.
        """
        # The farthest cell of a point is a corner of the map.
        low, high = (np.array([c[k] for c in self.grids[0].centres[::-1]]) for k in (0, -1))
        farthest = np.square(np.maximum(points - low, high - points)).sum(1).max()
        *steps, last = annealing(farthest / (2 * SCALE))
        potential = np.zeros(len(points))
        searches: dict[int, Search] = {}
        for epsilon in steps:
            potential = self.step(points, potential, epsilon, searches)
        search = searches.get(0) or Search(self.pyramid(0), points)
        _, moments = tiled_step(search, potential, last, moments=True)
        barycentres = moments[:, :2]
        spread = moments[:, 2] - np.square(barycentres).sum(1)
        return barycentres, spread.clip(min=0)

    def step(
        self,
        points: np.ndarray,
        potential: np.ndarray,
        epsilon: float,
        searches: dict[int, 'Search'],
    ) -> np.ndarray:
        """Take a Sinkhorn step by the cheaper of the two forms that can.

        Args:
            points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
            potential: ``(N,)`` potential of the points.
            epsilon: Regularisation of the step.
            searches: That of each grid where there has been one for these points.

        Returns:
            ``(N,)`` new potential.
        """
        # Standard deviation of the kernel, in cells and then in steps of the grid.
        width = math.sqrt(SCALE * epsilon) / self.stride
        level = min(max(math.floor(math.log2(width / FINENESS)), 0), len(self.grids) - 1)
        width /= 2**level
        # what a point reaches, a square of whole tiles
        nodes_per_point = (2 * math.sqrt(2 * CUTOFF) * width + 2**LEAF) ** 2
        if TILED_COST * nodes_per_point > self.grids[level].mass.size:
            updated = separable_step(self.grids[level], points, potential, epsilon)
            if updated is not None:
                return updated
        if level not in searches:
            searches[level] = Search(self.pyramid(level), points)
        return tiled_step(searches[level], potential, epsilon)[0]

    def pyramid(self, level: int) -> 'Pyramid':
        """That of a grid, made when it is first needed."""
        if level not in self._pyramids:
            self._pyramids[level] = build_pyramid(self.grids[level], self.stride * 2**level)
        return self._pyramids[level]


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


class Pyramid(NamedTuple):
    """Squares of nodes of a grid, joined two by two along each axis, again and again.

    Attributes:
        first: Coordinates y and x of the first node in input pixels.
        step: Between the nodes, in input pixels.
        moments: For each level ``(4, h, w)`` sums of 1, x, y and x**2 + y**2 over the mass of each
            tile, in input pixels; first the nodes themselves, with some beyond the grid so that
            they fill tiles of ``2**LEAF`` a side, and at last the whole.
    """

    first: tuple[float, float]
    step: float
    moments: list[np.ndarray]

    def half(self, level: int) -> float:
        """From the middle of a tile's nodes to the outermost ones along an axis, in pixels."""
        return (2**level - 1) / 2 * self.step

    def middles(self, level: int, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates y and x of the middle of each tile's nodes."""
        size = 2**level * self.step
        starts = zip(self.first, self.place(level, tile), strict=True)
        y, x = (low + self.half(level) + size * k for low, k in starts)
        return y, x

    def place(self, level: int, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each tile."""
        return np.divmod(tile, self.moments[level].shape[2])

    def offsets(self, level: int) -> np.ndarray:
        """Nodes of a tile along an axis, from its middle, ``(s,)`` in pixels."""
        return self.step * np.arange(2**level) - self.half(level)

    def nodes(self, level: int, tile: np.ndarray, moment: int) -> np.ndarray:
        """A moment of the nodes of each tile, ``(t, s, s)``."""
        return by_tiles(self.moments[0][moment], 2**level)[self.place(level, tile)]


def by_tiles(nodes: np.ndarray, side: int) -> np.ndarray:
    """View of values of nodes by the tiles of so many along each axis that they fill."""
    rows, columns = (n // side for n in nodes.shape)
    return nodes.reshape(rows, side, columns, side).swapaxes(1, 2)


def build_pyramid(grid: Grid, step: float) -> Pyramid:
    """Join the nodes of a grid.

    Args:
        grid: The grid.
        step: Between its nodes, in input pixels.
    """
    first = tuple(float(centre[0]) for centre in grid.centres)
    mass = np.pad(grid.mass, [(0, -n % 2**LEAF) for n in grid.mass.shape])
    y, x = (
        (low + step * np.arange(n)).reshape(shape)
        for low, n, shape in zip(first, mass.shape, ((-1, 1), (1, -1)), strict=True)
    )
    moments = [np.stack((mass, mass * x, mass * y, mass * (x * x + y * y)))]
    while moments[-1][0].size > 1:
        tiles = moments[-1]
        tiles = np.pad(tiles, [(0, 0), *((0, n % 2) for n in tiles.shape[1:])])
        tiles = tiles[:, ::2] + tiles[:, 1::2]
        moments.append(tiles[:, :, ::2] + tiles[:, :, 1::2])
    return Pyramid(first, step, moments)


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


def tiled_step(
    search: 'Search', potential: np.ndarray, epsilon: float, moments: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The step of :func:`separable_step` on the pairs of a tile and a point that matter.

    Args:
        search: Of the density and the points.
        potential: ``(N,)`` potential of the points.
        epsilon: Of the step.
        moments: Find the moments too. Defaults to False.

    Returns:
        ``(N,)`` new potential, and the ``(N, 3)`` means of x, y and
        x**2 + y**2 over the mass of each point, in input pixels (``(N, 0)`` without moments).
    """
    pyramid, points = search.pyramid, search.points
    totals = np.zeros((len(points), 4 if moments else 1))
    for block in search.blocks(potential, epsilon):
        for k, total in enumerate(totals.T):
            share = block.shares(pyramid, k)
            total += np.bincount(block.point.ravel(), share.ravel(), len(points))

    # What a point gets that is hardly any node's choice comes largely from pairs left out above.
    fed = totals[:, 0] > math.exp(-CUTOFF / 2)
    updated = potential.copy()
    updated[fed] -= epsilon * np.log(totals[fed, 0])
    if not fed.all():
        starved = np.flatnonzero(~fed)
        sums, totals[starved] = all_shares(
            pyramid, points, potential, epsilon, starved, totals.shape[1]
        )
        updated[starved] = -epsilon * sums
    return updated, totals[:, 1:] / totals[:, :1]


def all_shares(
    pyramid: Pyramid,
    points: np.ndarray,
    potential: np.ndarray,
    epsilon: float,
    chosen: np.ndarray,
    columns: int,
) -> tuple[np.ndarray, np.ndarray]:
    r"""What some points get from all nodes, without truncation.

    Args:
        pyramid: Of the density.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        epsilon: Of the step.
        chosen: ``(s,)`` index of each of these points.
        columns: How many of the moments.

    Returns:
        ``(s,)`` logarithms of the sums of :math:`a_i e^{(f_i - C_{in}) / \epsilon}`, and
        ``(s, columns)`` moments of these terms, all of a point up to one factor.
    """
    size = pyramid.moments[0].shape[1:]
    node_potential = np.full(size, -math.inf)
    for block in plan_blocks(pyramid, points, potential, epsilon, settle=False):
        y, x = pyramid.middles(block.level, block.tile)
        offset = pyramid.offsets(block.level)
        best = points[block.best]
        dy, dx = y[:, None] + offset - best[:, 1:], x[:, None] + offset - best[:, :1]
        cost = (dy[:, :, None] ** 2 + dx[:, None] ** 2) / (2 * SCALE)
        cost -= potential[block.best][:, None, None]
        place = pyramid.place(block.level, block.tile)
        by_tiles(node_potential, 2**block.level)[place] = cost - epsilon * np.log(block.sums)
    held = np.nonzero(pyramid.moments[0][0])
    y, x = (low + pyramid.step * k for low, k in zip(pyramid.first, held, strict=True))
    moments = pyramid.moments[0][:columns][:, held[0], held[1]].T
    sums, shares = np.empty(len(chosen)), np.empty((len(chosen), columns))
    for part in np.array_split(np.arange(len(chosen)), -(-len(chosen) * len(y) // NODE_CHUNK)):
        place = points[chosen[part]]
        distance = (x - place[:, :1]) ** 2 + (y - place[:, 1:]) ** 2
        term = (node_potential[held] - distance / (2 * SCALE)) / epsilon
        largest = term.max(1, initial=-math.inf)
        shares[part] = np.exp(term - largest[:, None]) @ moments
        sums[part] = largest + np.log(shares[part, 0])
    return sums, shares


class Block(NamedTuple):
    """Some tiles, a list of points for each, and the factors of the kernel between them.

    The kernel is divided by that of the tile's best point, which leaves factors
    ``exp(offset * (position - position of the best) / (SCALE * epsilon))`` along each axis.

    Attributes:
        level: Of the tiles, in the pyramid.
        tile: ``(t,)`` flat index of each.
        best: ``(t,)`` best point of the middle of each.
        point: ``(t, k)`` points of each; where a list is shorter some of no weight.
        weight: ``(t, k)`` kernel at the middle of the tile, times the exponential of the potential.
        rows: ``(t, s, k)`` factors of the rows of nodes; None for tiles that give all mass to one
            point.
        columns: ``(t, s, k)`` factors of the columns.
        sums: ``(t, s, s)`` sums over the points.
    """

    level: int
    tile: np.ndarray
    best: np.ndarray
    point: np.ndarray
    weight: np.ndarray
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    sums: np.ndarray | None = None

    def shares(self, pyramid: Pyramid, moment: int) -> np.ndarray:
        """What each point gets of a moment of the tile, ``(t, k)``."""
        if self.rows is None:
            return pyramid.moments[self.level][moment].ravel()[self.tile, None]
        rates = pyramid.nodes(self.level, self.tile, moment) / self.sums
        return np.einsum('tsk,tsk->tk', rates @ self.columns, self.rows) * self.weight


class Front(NamedTuple):
    """Tiles of one level where the search for pairs goes on, and the points that may matter there.

    Attributes:
        level: Level of the tiles in the pyramid.
        tile: ``(t,)`` flat index of each tile.
        start: ``(t,)`` first candidate of each tile in ``point``.
        count: ``(t,)`` number of its candidates, at least 1.
        point: ``(c,)`` points that are candidates, tile after tile.
    """

    level: int
    tile: np.ndarray
    start: np.ndarray
    count: np.ndarray
    point: np.ndarray


class Lead(NamedTuple):
    """How the candidates of a front compare with the best one of the middle of their tile.

    Attributes:
        best: ``(t,)`` best point of each tile.
        trail: ``(c,)`` by how much the cost less the potential of each exceeds that of the best.
        dy: ``(c,)`` vertical distance from the best in input pixels.
        dx: ``(c,)`` horizontal distance.
    """

    best: np.ndarray
    trail: np.ndarray
    dy: np.ndarray
    dx: np.ndarray


class Search:
    """Goes on with the lists of an earlier step where they hold all pairs that matter now.

    Args:
        pyramid: Tiles of the density.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
    """

    def __init__(self, pyramid: Pyramid, points: np.ndarray) -> None:
        self.pyramid = pyramid
        self.points = points
        self._found: list[Front] = []
        self._potential = np.zeros(len(points))
        self._epsilon = math.inf

    def blocks(self, potential: np.ndarray, epsilon: float) -> Iterator[Block]:
        """Find the pairs of a tile and a point, see :func:`plan_blocks`.

        Args:
            potential: ``(N,)`` potential of the points.
            epsilon: Regularisation of the kernel.
        """
        # What was left out trailed by CUTOFF times the epsilon of then, and may have caught up by
        # the range of the changes.
        shift = float(np.ptp(potential - self._potential))
        start = self._found if shift <= CUTOFF * (self._epsilon - epsilon) else []
        self._found, self._potential, self._epsilon = [], potential, epsilon
        yield from plan_blocks(
            self.pyramid, self.points, potential, epsilon, start=start, found=self._found
        )


def plan_blocks(
    pyramid: Pyramid,
    points: np.ndarray,
    potential: np.ndarray,
    epsilon: float,
    settle: bool = True,
    start: Sequence['Front'] = (),
    found: list['Front'] | None = None,
) -> Iterator[Block]:
    """Find the pairs of a tile and a point that take a share of the tile's mass.

    The search goes down the pyramid. The cost less the potential of one point leads that of another
    by a difference that is linear over a tile, so its least value there is known. A point that
    trails the best one of the tile's middle by more than the cutoff all over the tile is dropped.
    So no pair is lost, and a tile that is left with one point gives it all its mass, without a look
    at its nodes.

    Args:
        pyramid: Tiles of the density.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        epsilon: Regularisation of the kernel.
        settle: End the search at a tile that is left with one point. Defaults to True.
        start: Where to begin: fronts that together have all tiles with mass, and for each the
            points that may matter. Defaults to none, for the whole with all points.
        found: Gets such fronts for later searches, if there is a list. Defaults to None.

    Yields:
        Tiles that together hold all mass, once.
    """
    whole = np.zeros(1, np.int64)
    top = len(pyramid.moments) - 1
    stack = list(start) or [
        Front(top, whole, whole, np.array([len(points)]), np.arange(len(points)))
    ]
    settled: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    while stack:
        front = stack.pop()
        level = front.level
        front, lead = drop_candidates(pyramid, front, points, potential, CUTOFF * epsilon)
        going = np.full(len(front.tile), level > LEAF)
        if 0 < level <= LEAF:
            far = np.maximum.reduceat(np.maximum(np.abs(lead.dy), np.abs(lead.dx)), front.start)
            going = far * pyramid.half(level) > LARGEST * SCALE * epsilon
        done = ~going
        if settle:
            alone = front.count == 1
            going &= ~alone
            done &= ~alone
            tile, best = front.tile[alone], lead.best[alone]
            if len(tile):
                yield Block(level, tile, best, best[:, None], np.ones((len(tile), 1)))
                if level > LEAF:
                    settled.setdefault(level, []).append((tile, best))
        if level == LEAF and found is not None:
            found.append(front)
        yield from leaf_blocks(pyramid, front, lead, np.flatnonzero(done), epsilon)
        stack += descend(pyramid, front, np.flatnonzero(going))
    if found is not None:
        for level, parts in settled.items():
            tile, point = (np.concatenate(part) for part in zip(*parts, strict=True))
            one = np.ones(len(tile), np.int64)
            found.append(Front(level, tile, np.arange(len(tile)), one, point))


def drop_candidates(
    pyramid: Pyramid, front: Front, points: np.ndarray, potential: np.ndarray, reach: float
) -> tuple[Front, Lead]:
    """Drop the candidates that trail the best one of their tile too far.

    Args:
        pyramid: Of the tiles.
        front: Tiles and candidates.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels.
        potential: ``(N,)`` potential of the points.
        reach: How far a point may trail where that is least, anywhere between the tile's nodes.

    Returns:
        What is left of the front, and how its candidates compare.
    """
    y, x = pyramid.middles(front.level, front.tile)
    px, py = points.T[:, front.point]
    trail = (py - np.repeat(y, front.count)) ** 2 + (px - np.repeat(x, front.count)) ** 2
    trail /= 2 * SCALE
    trail -= potential[front.point]
    trail -= np.repeat(np.minimum.reduceat(trail, front.start), front.count)
    best = np.flatnonzero(trail == 0)
    best = best[np.searchsorted(best, front.start)]  # the first of each tile
    dy, dx = (p - np.repeat(p[best], front.count) for p in (py, px))
    keep = trail < reach + (np.abs(dy) + np.abs(dx)) * (pyramid.half(front.level) / SCALE)
    count = np.add.reduceat(keep, front.start, dtype=np.int64)
    lead = Lead(front.point[best], trail[keep], dy[keep], dx[keep])
    return front._replace(start=count.cumsum() - count, count=count, point=front.point[keep]), lead


def leaf_blocks(
    pyramid: Pyramid, front: Front, lead: Lead, done: np.ndarray, epsilon: float
) -> Iterator[Block]:
    """Blocks of tiles where the search ends, with lists of about the same length.

    Args:
        pyramid: Of the tiles.
        front: Tiles and candidates.
        lead: How the candidates compare.
        done: Places in the front of the tiles where the search ends.
        epsilon: Regularisation of the kernel.
    """
    if not len(done):
        return
    done = done[np.argsort(front.count[done], kind='stable')]
    size = np.floor(2 * np.log2(front.count[done]))
    offset = pyramid.offsets(front.level)[:, None] / (SCALE * epsilon)
    for part in np.split(done, np.flatnonzero(np.diff(size)) + 1):
        place = np.arange(front.count[part[-1]])
        beyond = place >= front.count[part, None]
        place = np.where(beyond, front.start[part, None], front.start[part, None] + place)
        weight = np.exp(lead.trail[place] / -epsilon)
        weight[beyond] = 0
        rows, columns = (np.exp(offset * d[place][:, None]) for d in (lead.dy, lead.dx))
        sums = (rows * weight[:, None]) @ columns.swapaxes(1, 2)
        point = front.point[place]
        yield Block(
            front.level, front.tile[part], lead.best[part], point, weight, rows, columns, sums
        )


def descend(pyramid: Pyramid, front: Front, going: np.ndarray) -> Iterator[Front]:
    """Go from some tiles to the tiles with mass that they consist of, a chunk of pairs at a time.

    Args:
        pyramid: Tiles of the density.
        front: Tiles and candidates.
        going: Places in the front of the tiles where the search goes on.

    Yields:
        Fronts of the next finer level, in which each tile has the candidates of its parent.
    """
    if not len(going):
        return
    place = pyramid.place(front.level, front.tile[going])
    child, parent = children_with_mass(pyramid.moments[front.level - 1][0], *place)
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
    held = mass.ravel()[child] != 0  # interpolated, it may be negative
    return child[held], parent[held]
