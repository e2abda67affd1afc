r"""Entropic unbalanced transport from a density to points without (cells x points) matrices.

At each weight :math:`\epsilon` of the entropy a Sinkhorn step needs the sums of
:math:`e^{-C_{ij} / \epsilon}`, times a factor of the point or of the cell, over points and over
cells. They are taken by square tiles of cells. A tile has a list of points, those whose part in any
of its sums can matter, so that the work shrinks with :math:`\epsilon`. One exponential of a pair,
:math:`e^{(B_{tj} - C_{ij}) / \epsilon}` with a bound B of the costs of the tile, serves both sums
as a matrix, and B keeps it in the range of float32. To truncate and to rescale the kernel are the
ideas of Schmitzer: *Stabilized Sparse Scaling Algorithms for Entropy Regularized Transport
Problems* (SIAM Journal on Scientific Computing 2019).
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# ``(vertical coordinates of cells, those of points) -> s``, for a cost exp(distance / s) - 1. It is
# monotone in the coordinate of the cell.
Scale = Callable[[Tensor, Tensor], Tensor]

# A step's potentials change by at most this part of the last epsilon by what the lists leave out.
TOLERANCE = 1e-4
# Cells along the side of a tile at most, and tiles along the longer side of the map at least.
TILE, TILES = 8, 16
# Pairs of a cell and a point that are worked on at a time: on a CPU so few that they stay in its
# cache; and pairs of a tile and a point.
CHUNK, DEVICE_CHUNK, TILE_CHUNK = 2**18, 2**24, 2**20
# Largest range of exponents in a tile: that of the dtype less what a sum must not lose.
SPREAD = {torch.float32: 60.0, torch.float64: 600.0}


class Tiles(NamedTuple):
    """Square tiles of ``s * s`` cells, and bounds of their costs.

    Attributes:
        side: s.
        corner: ``(t, 2)`` row and column of the first cell of each.
        cell: ``(t, s * s)`` flat index of each cell; beyond the map the number of its cells.
        least: ``(t, m)`` lower bound of the costs between the cells of a tile and a point.
        most: ``(t, m)`` upper bound.
    """

    side: int
    corner: Tensor
    cell: Tensor
    least: Tensor
    most: Tensor


class Piece(NamedTuple):
    """Some tiles, as many points for each, and the costs between them.

    Attributes:
        tile: ``(t,)`` index of each tile.
        point: ``(t, k)`` index of each point; None for all points in their order.
        cost: ``(t, s * s, k)`` costs plus 1.
    """

    tile: Tensor
    point: Tensor | None
    cost: Tensor

    def take(self, values: Tensor) -> Tensor:
        """From values of all pairs of a tile and a point those of the piece, ``(t, k)``."""
        rows = values[self.tile]
        return rows if self.point is None else rows.gather(1, self.point)

    def put(self, values: Tensor, target: Tensor) -> None:
        """Write values ``(t, k)`` to those of all pairs of a tile and a point."""
        place = self.tile if self.point is None else (self.tile[:, None], self.point)
        target[place] = values


class TiledCosts:
    """Costs ``exp(d / s) - 1`` between the cells of a map and points, tile by tile.

    It holds the bounds of each tile of 8 x 8 cells and each point, which is 1/32 of what all costs
    would take (for maps of less than 128 cells, whose tiles are smaller, up to twice as much).

    Args:
        size: Height and width ``(h, w)`` in cells.
        points: ``(m, 2)`` positions ``(x, y)``, m > 0, in units in which the longer side of the map
            is 1.
        scale: Gives s.
        tolerance: Largest change of a potential, in units of the cost, by what is left out.
    """

    def __init__(
        self, size: tuple[int, int], points: Tensor, scale: Scale, tolerance: float
    ) -> None:
        self.size = size
        self.points = points
        self.scale = scale
        self.tolerance = tolerance
        self.chunk = CHUNK if points.device.type == 'cpu' else DEVICE_CHUNK
        side = 1
        while side < TILE and 2 * side * TILES <= max(size):
            side *= 2
        corner = torch.cartesian_prod(
            *(torch.arange(0, n, side, device=points.device) for n in size)
        )
        self.tiles = self._groups(corner, side)

    def _groups(self, corner: Tensor, side: int) -> list[Tiles]:
        """Tiles by groups of limited size."""
        corners = corner.split(max(TILE_CHUNK // len(self.points), 1))
        return [self._tiles(corner, side) for corner in corners]

    def _tiles(self, corner: Tensor, side: int) -> Tiles:
        h, w = self.size
        row, column = (c[:, None] + torch.arange(side, device=c.device) for c in corner.T)
        cell = row[:, :, None] * w + column[:, None]
        cell = cell.masked_fill_((row >= h)[:, :, None] | (column >= w)[:, None], h * w).flatten(1)

        x, y = self.points.T
        half = (side - 1) / 2
        row, column = (corner.to(x.dtype) + half + 0.5).div_(max(h, w)).T[:, :, None]
        half /= max(h, w)
        dx, dy = (column - x).abs_(), (row - y).abs_()
        nearest = torch.hypot((dx - half).clamp_(min=0), (dy - half).clamp_(min=0))
        farthest = torch.hypot(dx + half, dy + half)
        scales = self.scale(row - half, y), self.scale(row + half, y)
        least = nearest.div_(torch.maximum(*scales)).exp_() - 1
        return Tiles(side, corner, cell, least, farthest.div_(torch.minimum(*scales)).exp_() - 1)

    def _quarters(self, tiles: Tiles, which: Tensor) -> list[Tiles]:
        """Tiles of half the side; those that have no cell of the map are left out."""
        side = tiles.side // 2
        corner = tiles.corner[which]
        shift = side * torch.cartesian_prod(*[torch.arange(2, device=corner.device)] * 2)
        corner = (corner[:, None] + shift).flatten(0, 1)
        inside = corner < torch.tensor(self.size, device=corner.device)
        return self._groups(corner[inside.all(1)], side)

    def listed(self, f: Tensor, g: Tensor, epsilon: float) -> Iterator[tuple[Tiles, Tensor]]:
        r"""Tiles that together have every cell once, and the points that matter to each.

        These take part in :math:`\sum_j e^{(g_j - C_{ij}) / \epsilon}` for one of its cells or in
        :math:`\sum_i e^{(f_i - C_{ij}) / \epsilon}`.

        Args:
            f: ``(h * w + 1,)``, the last minus infinity.
            g: ``(m,)``.
            epsilon: Weight of the entropy.

        Yields:
            Tiles, and ``(t, m)`` bool.
        """
        # What trails the largest term of a sum by more is left out: so little, even if all do.
        row_reach, column_reach = (
            epsilon * max(math.log(number * epsilon / self.tolerance), 0)
            for number in (len(g), len(f))
        )
        best = torch.stack(
            [(f[t.cell].amax(1, keepdim=True) - t.most).amax(0) for t in self.tiles]
        ).amax(0)
        stack = list(self.tiles)
        while stack:
            tiles = stack.pop()
            # negated, so that what is not finite stays
            keep = tiles.least - g > (tiles.most - g).amin(1, keepdim=True) + row_reach
            keep &= f[tiles.cell].amax(1, keepdim=True) - tiles.least < best - column_reach
            keep.logical_not_()
            wide = (tiles.most - tiles.least > SPREAD[g.dtype] * epsilon).logical_and_(keep).any(1)
            if tiles.side > 1 and wide.any():
                stack += self._quarters(tiles, wide)
                tiles = Tiles(tiles.side, *(values[~wide] for values in tiles[1:]))
                keep = keep[~wide]
            yield tiles, keep

    def pieces(self, tiles: Tiles, keep: Tensor) -> Iterator[Piece]:
        """The costs of pairs that take part, and of some more.

        Args:
            tiles: From :meth:`listed`.
            keep: The points of each.

        Yields:
            Pieces that together have every tile once.
        """
        number, order = keep.sum(1).sort()
        lengths = number.tolist()
        along = torch.arange(tiles.side, device=keep.device, dtype=self.points.dtype)
        start = 0
        while start < len(lengths):
            end = start + 1
            limit = self.chunk // tiles.side**2
            while end < len(lengths) and (end + 1 - start) * lengths[end] <= limit:
                end += 1
            tile = order[start:end]
            point, x, y = None, *self.points.T[:, None, None]
            if lengths[start] < len(self.points):
                # those of the list come first
                point = keep[tile].to(torch.uint8).topk(lengths[end - 1], 1).indices
                x, y = (v.flatten()[point][:, None] for v in (x, y))
            row, column = (
                ((c[:, None] + along + 0.5) / max(self.size))[:, :, None]
                for c in tiles.corner[tile].T
            )
            cost = (row - y).square_()[:, :, None] + (column - x).square_()[:, None]
            cost.sqrt_().mul_((1 / self.scale(row, y))[:, :, None]).exp_()
            yield Piece(tile, point, cost.flatten(1, 2))
            start = end


def epsilons(diameter: float, blur: float, scaling: float) -> list[float]:
    """Weights of the entropy on the way from the diameter to blur, as geomloss has them."""
    falling = np.arange(math.log(diameter), math.log(blur), math.log(scaling))
    return [diameter, *np.exp(falling).tolist(), blur]


def softmins(
    costs: TiledCosts, log_mass: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    r"""New potentials of cells and points, both from the old ones.

    .. math::
        f'_i = -\epsilon \log \sum_j e^{(g_j - C_{ij}) / \epsilon} \qquad
        g'_j = -\epsilon \log \sum_i a_i e^{(f_i - C_{ij}) / \epsilon}

    Args:
        costs: C.
        log_mass: ``(n,)`` logarithms of a.
        f: ``(n,)`` potentials of the cells.
        g: ``(m,)`` potentials of the points.
        epsilon: :math:`\epsilon`.

    Returns:
        ``(n,)`` and ``(m,)``.
    """
    new_f, log_sums = f.new_empty(len(f) + 1), torch.full_like(g, -torch.inf)
    f = torch.cat((f + epsilon * log_mass, f.new_full((1,), -torch.inf)))
    for tiles, keep in costs.listed(f, g, epsilon):
        lift = (g - tiles.least).div_(epsilon)
        cell_top = lift.amax(1, keepdim=True)
        of_point = (lift - cell_top).exp_()
        of_cell = f[tiles.cell] / epsilon
        top = of_cell.amax(1, keepdim=True)
        of_cell = (of_cell - top).exp_()
        shift = (tiles.least + 1) / epsilon
        by_cell, by_point = torch.empty_like(of_cell), torch.zeros_like(lift)
        for piece in costs.pieces(tiles, keep):
            cost = piece.cost
            kernel = torch.add(piece.take(shift)[:, None], cost, alpha=-1 / epsilon, out=cost)
            kernel.exp_()
            by_cell[piece.tile] = torch.bmm(kernel, piece.take(of_point)[:, :, None])[:, :, 0]
            piece.put(torch.bmm(of_cell[piece.tile][:, None], kernel)[:, 0], by_point)
        new_f[tiles.cell] = (by_cell.log_() + cell_top).mul_(-epsilon)
        by_point = by_point.log_().add_(top).sub_(tiles.least / epsilon)
        log_sums = torch.logaddexp(log_sums, by_point.logsumexp(0))
    return new_f[:-1], -epsilon * log_sums


def log_plan_factors(
    costs: TiledCosts, log_mass: Tensor, f: Tensor, g: Tensor, epsilon: float
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    r"""Logarithm of :math:`\pi_{ij} / a_i` for the plan :math:`\pi` of dual potentials.

    Args:
        costs: C.
        log_mass: ``(n,)`` logarithms of the masses a.
        f: ``(n,)`` potential of the cells.
        g: ``(m,)`` potential of the points.
        epsilon: Weight of the entropy.

    Yields:
        ``(t, c)`` cells, n for one beyond the map; ``(t, k)`` points; and ``(t, c, k)``
        :math:`(f_i + g_j - C_{ij}) / \epsilon`, minus infinity beyond the map. They hold every
        cell once, with the points that matter to it.
    """
    f, log_mass = (torch.cat((v, v.new_full((1,), -torch.inf))) for v in (f, log_mass))
    for tiles, keep in costs.listed(f + epsilon * log_mass, g, epsilon):
        every = torch.arange(len(g), device=g.device).expand_as(keep)
        for piece in costs.pieces(tiles, keep):
            cell, point = tiles.cell[piece.tile], piece.take(every)
            potential = g[point][:, None] + f[cell][:, :, None] + 1
            yield cell, point, (potential - piece.cost).div_(epsilon)


def unbalanced_potentials(
    costs: TiledCosts,
    mass: Tensor,
    blur: float,
    scaling: float,
    reach: float,
    diameter: float,
) -> tuple[Tensor, Tensor]:
    """Dual potentials of the entropic unbalanced transport from cells to points of mass 1.

    The steps of geomloss (Feydy, PhD thesis, algorithm 3.5, without debiasing): at each weight of
    the entropy the mean of the old potentials and of :func:`softmins`, damped by the divergences of
    the marginals; at last :func:`softmins` alone.

    Args:
        costs: Of the transport.
        mass: ``(n,)`` masses of the cells, positive.
        blur: Last weight of the entropy.
        scaling: Ratio of successive weights.
        reach: Weight of the Kullback-Leibler divergences of the marginals.
        diameter: First weight.

    Returns:
        f ``(n,)`` and g ``(m,)``.
    """
    log_mass = mass.log()

    def damped(f: Tensor, g: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        f, g = softmins(costs, log_mass, f, g, epsilon)
        return f / (1 + epsilon / reach), g / (1 + epsilon / reach)

    f, g = damped(torch.zeros_like(mass), torch.zeros_like(costs.points[:, 0]), diameter)
    for epsilon in epsilons(diameter, blur, scaling):
        new_f, new_g = damped(f, g, epsilon)
        f, g = (f + new_f) / 2, (g + new_g) / 2
    return damped(f, g, blur)
