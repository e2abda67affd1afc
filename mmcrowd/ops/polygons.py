"""Polygons: what of a map lies in them, which points do, and whether they are simple.

A ring is an array ``(k, 2)`` of corners ``(x, y)``, k at least 3, whose last corner is joined to
its first. A polygon is a list of rings, the outer one and then its holes.
"""

from collections.abc import Sequence

import numpy as np

# Pairs of points and sides that are looked at together.
_CHUNK = 2**22


def signed_area(ring: np.ndarray) -> float:
    """Area inside a ring, positive if y is ahead of x by a quarter turn in its direction.

    Examples:
        >>> signed_area(np.array([[0, 0], [2, 0], [2, 3], [0, 3]]))
        6.0
    """
    # Relative to a corner: far from the origin the products would lose digits.
    x, y = (np.asarray(ring, np.float64) - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def polygon_area(polygon: Sequence[np.ndarray]) -> float:
    """Area inside the outer ring and outside the holes."""
    outer, *holes = (abs(signed_area(ring)) for ring in polygon)
    return outer - sum(holes)


def sum_inside(
    cumulated: np.ndarray, polygon: Sequence[np.ndarray], x_edges: np.ndarray, y_edges: np.ndarray
) -> float:
    r"""Sum of a map inside a polygon, each cell by the part of its area that is inside.

    The value of a cell is spread evenly over its area. With :math:`D(x, y)` that density and
    :math:`C(x, y) = \int_{-\infty}^x D(x', y)\,dx'`, Green's theorem makes the sum an integral
    along the sides,

    .. math:: \iint D\,dx\,dy = \pm\oint C(x, y)\,dy

    and between the edges of cells C is linear along a side, so that its value in the middle gives
    the integral exactly. The cost is that of the cells that the sides pass through, whatever is
    inside. Two polygons with a common side take the same integral along it with opposite signs, so
    that the sums over a partition of the map add up to that of the map.

    Args:
        cumulated: ``(h, w + 1)`` sums of the map along its rows, see :func:`cumulate`.
        polygon: Rings that do not cross.
        x_edges: ``(w + 1,)`` edges of the columns, ascending.
        y_edges: ``(h + 1,)`` edges of the rows, ascending.

    Returns:
        The sum; what of the polygon lies beyond the map adds nothing.

    Examples:
        >>> triangle = np.array([[0, 0], [2, 0], [0, 2]])
        >>> sum_inside(cumulate(np.array([[4, 1], [1, 8]])), [triangle], np.arange(3), np.arange(3))
        5.0
    """
    outer, *holes = (_sum_inside_ring(cumulated, ring, x_edges, y_edges) for ring in polygon)
    return outer - sum(holes)


def cumulate(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1 ... w cells of each row, ``(h, w) -> (h, w + 1)`` float64."""
    cumulated = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=cumulated[:, 1:])
    return cumulated


def _sum_inside_ring(
    cumulated: np.ndarray, ring: np.ndarray, x_edges: np.ndarray, y_edges: np.ndarray
) -> float:
    start = np.asarray(ring, np.float64)
    end = np.roll(start, -1, axis=0)
    side, place = _cut(start, end, (x_edges, y_edges))
    # Pieces between two cuts of one side lie in one cell, or beyond the map.
    whole = side[1:] == side[:-1]
    side, first, last = side[1:][whole], place[:-1][whole], place[1:][whole]
    way = end[side] - start[side]
    x, y = (start[side] + ((first + last) / 2)[:, None] * way).T
    dy = (last - first) * way[:, 1]
    column, row = (
        np.searchsorted(edges, at, side='right') - 1 for edges, at in ((x_edges, x), (y_edges, y))
    )
    on_map = (row >= 0) & (row < len(y_edges) - 1)
    column, row, x, dy = column[on_map], row[on_map], x[on_map], dy[on_map]
    column = column.clip(0, len(x_edges) - 2)
    share = (x - x_edges[column]) / (x_edges[column + 1] - x_edges[column])
    before, after = cumulated[row, column], cumulated[row, column + 1]
    sums = before + share.clip(0, 1) * (after - before)
    around = sums @ (dy / (y_edges[row + 1] - y_edges[row]))
    return float(np.sign(signed_area(ring)) * around)


def _cut(
    start: np.ndarray, end: np.ndarray, edges: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Where sides cross the lines of a grid, sorted along each side.

    Returns:
        ``(n,)`` number of the side and ``(n,)`` place on it, from 0 at its start to 1 at its end,
        which are among them.
    """
    number = np.arange(len(start))
    sides, places = [number, number], [np.zeros(len(start)), np.ones(len(start))]
    for axis, lines in enumerate(edges):
        a, b = start[:, axis], end[:, axis]
        first = np.searchsorted(lines, np.minimum(a, b), side='right')
        count = np.searchsorted(lines, np.maximum(a, b), side='left') - first
        count = count.clip(min=0)  # a side on a line crosses none
        side = np.repeat(number, count)
        within = np.arange(len(side)) - np.repeat(count.cumsum() - count, count)
        line = lines[np.repeat(first, count) + within]
        sides.append(side)
        places.append((line - a[side]) / (b[side] - a[side]))
    side, place = np.concatenate(sides), np.concatenate(places)
    order = np.lexsort((place, side))
    return side[order], place[order].clip(0, 1)


def points_inside(points: np.ndarray, polygon: Sequence[np.ndarray]) -> np.ndarray:
    """Which points lie in a polygon, by the even-odd rule: holes are outside.

    A point on a side belongs to one of the two polygons that have the side in common.

    Args:
        points: ``(n, 2)``.
        polygon: Its rings.

    Returns:
        ``(n,)`` bool.

    Examples:
        >>> points_inside(np.array([[1, 1], [3, 1]]), [np.array([[0, 0], [2, 0], [2, 2], [0, 2]])])
        array([ True, False])
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    start, end = sides_of(polygon)
    # Upwards, so that two polygons find the same crossing with a common side.
    swap = (start[:, 1] > end[:, 1])[:, None]
    (x0, y0), (x1, y1) = np.where(swap, end, start).T, np.where(swap, start, end).T
    rises = y1 > y0
    x0, y0, x1, y1 = (values[rises] for values in (x0, y0, x1, y1))
    inside = np.zeros(len(points), bool)
    step = max(_CHUNK // max(len(x0), 1), 1)
    for at in range(0, len(points), step):
        x, y = points[at : at + step].T[:, :, None]
        beside = (y0 <= y) & (y < y1)
        crossing = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
        inside[at : at + step] = (beside & (crossing <= x)).sum(1) % 2 == 1
    return inside


def point_within(polygon: Sequence[np.ndarray]) -> np.ndarray:
    """A point ``(2,)`` inside a polygon, off its sides."""
    start, end = sides_of(polygon)
    levels = np.unique(start[:, 1])
    widest = np.diff(levels).argmax()
    y = (levels[widest] + levels[widest + 1]) / 2
    crossed = (start[:, 1] > y) != (end[:, 1] > y)
    (x0, y0), (x1, y1) = start[crossed].T, end[crossed].T
    x = np.sort(x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return np.array([(x[0] + x[1]) / 2, y])


def sides_of(polygon: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``(m, 2)`` starts and ends of the sides of all rings."""
    starts = [np.asarray(ring, np.float64) for ring in polygon]
    ends = [np.roll(ring, -1, axis=0) for ring in starts]
    return np.concatenate(starts), np.concatenate(ends)


def find_self_contact(ring: np.ndarray) -> tuple[int, int] | None:
    """Two sides of a ring that have a point in common which is no corner between neighbours.

    Args:
        ring: ``(k, 2)``, no two corners that follow each other are equal.

    Returns:
        Numbers of the two sides, or None: the ring is simple. Side i begins at corner i.

    Examples:
        >>> find_self_contact(np.array([[0, 0], [2, 2], [2, 0], [0, 2]]))
        (0, 2)
    """
    start, end = sides_of([ring])
    number = len(start)
    # A neighbour that goes back along the side.
    way = end - start
    following = np.roll(way, -1, axis=0)
    back = (_cross(way, following) == 0) & ((way * following).sum(1) < 0)
    if back.any():
        i = int(back.argmax())
        return tuple(sorted((i, (i + 1) % number)))  # type: ignore[return-value]
    for i in range(number - 2):
        # All sides behind the neighbour, but for the last one's neighbour, the first.
        others = np.arange(i + 2, number - (i == 0))
        met = touches(start[i], end[i], start[others], end[others])
        if met.any():
            return i, int(others[met.argmax()])
    return None


def touches(start: np.ndarray, end: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Whether a side ``(2,) -> (2,)`` has a point in common with sides ``(m, 2) -> (m, 2)``.

    Returns:
        ``(m,)`` bool.
    """
    a, b = _cross(end - start, starts - start), _cross(end - start, ends - start)
    c, d = _cross(ends - starts, start - starts), _cross(ends - starts, end - starts)
    straddle = (np.sign(a) * np.sign(b) <= 0) & (np.sign(c) * np.sign(d) <= 0)
    # On one line all four are zero, and the extents decide.
    low, high = np.minimum(start, end), np.maximum(start, end)
    lows, highs = np.minimum(starts, ends), np.maximum(starts, ends)
    return straddle & (low <= highs).all(-1) & (lows <= high).all(-1)


def crosses(start: np.ndarray, end: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Whether a side ``(2,) -> (2,)`` goes through sides ``(m, 2) -> (m, 2)``, inside of both.

    Returns:
        ``(m,)`` bool.
    """
    a, b = _cross(end - start, starts - start), _cross(end - start, ends - start)
    c, d = _cross(ends - starts, start - starts), _cross(ends - starts, end - starts)
    return (np.sign(a) * np.sign(b) < 0) & (np.sign(c) * np.sign(d) < 0)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


# --------------------------------------------------------------------------------- ground plane


def fit_homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The map of a plane that brings four points to four others, straight lines to straight lines.

    Args:
        source: ``(4, 2)``, no three on one line.
        target: ``(4, 2)``, no three on one line.

    Returns:
        ``(3, 3)`` matrix for points ``(x, y, 1)``, up to a factor.

    Raises:
        ValueError: Three of the points lie on one line.

    Examples:
        >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        >>> matrix = fit_homography(square, square * [20, 10])
        >>> map_points(matrix, np.array([[0.5, 0.25]]))[0].round(9).tolist()
        [10.0, 2.5]
    """
    # Each set of points is the image of the four points (1,0,0), (0,1,0), (0,0,1) and (1,1,1).
    return _basis_to(target) @ np.linalg.inv(_basis_to(source))


def _basis_to(points: np.ndarray) -> np.ndarray:
    columns = np.vstack((np.asarray(points, np.float64).T, np.ones(4)))
    extent = np.ptp(columns[:2], axis=1).max()
    for left_out in range(4):
        corners = np.delete(columns, left_out, axis=1)
        if abs(np.linalg.det(corners)) <= 1e-9 * extent**2:
            raise ValueError(
                f'{np.asarray(points).tolist()}: three of the four points lie on one line'
            )
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points ``(n, 2)`` mapped by a homography.

    Raises:
        ValueError: The points lie on both sides of the line that it maps to infinity (a horizon),
            or on it.
    """
    mapped = np.column_stack((points, np.ones(len(points)))) @ matrix.T
    scale = mapped[:, 2]
    if not ((scale > 0).all() or (scale < 0).all()):
        raise ValueError('the points reach beyond the horizon of the plane')
    return mapped[:, :2] / scale[:, None]
