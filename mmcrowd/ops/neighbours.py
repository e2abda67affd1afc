"""Distances between points of one image and nearest points, by a KD-tree on the host.

Time grows as m log m with the number of points, but for many at one place: 20,000 equal points
take a second.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from .cells import cell_centre


def neighbour_distances(points: np.ndarray, number: int) -> np.ndarray:
    """Distances of each point to its nearest other ones, in ascending order.

    The search is exact: a tree in float64, in O(m log m) time and O(m) memory.

    Args:
        points: ``(m, 2)`` positions, finite.
        number: How many neighbours.

    Returns:
        ``(m, k)`` float64 distances, with k the number, or m - 1 if there are fewer other points.

    Raises:
        ValueError: A point is not finite.

    Examples:
        >>> neighbour_distances(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]), 2)
        array([[3., 5.],
               [4., 5.],
               [3., 4.]])
    """
    k = min(number, len(points) - 1)
    if k < 1:
        return np.empty((len(points), 0))
    # The least is a point's distance 0 to itself.
    return cKDTree(points).query(points, k + 1)[0][:, 1:]


def nearest_neighbour_distances(points: np.ndarray) -> np.ndarray:
    """Distance of each point to its nearest other one.

    Args:
        points: ``(m, 2)`` positions.

    Returns:
        ``(m,)`` float64 distances; ``inf`` for a point that is alone.

    Examples:
        >>> nearest_neighbour_distances(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]))
        array([5., 0., 0.])
    """
    if len(points) < 2:
        return np.full(len(points), np.inf)
    return neighbour_distances(points, 1)[:, 0]


def nearest_points(positions: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Find the nearest point of each position; a tie goes to the lowest index.

    For positions on a grid :mod:`mmcrowd.ops.partition` gives the same index.

    Args:
        positions: ``(k, 2)``, finite.
        points: ``(m, 2)``, finite, m > 0.

    Returns:
        ``(k,)`` int64, places in ``points``.

    Raises:
        ValueError: There are no points, or a coordinate is not finite.

    Examples:
        >>> nearest_points(np.array([[1.0, 0.0], [4.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 0.0]]))
        array([0, 0])
    """
    if len(points) == 0:
        raise ValueError('nearest_points needs at least one point, but got 0')
    tree = cKDTree(points)
    index = np.empty(len(positions), np.int64)
    # More neighbours are looked at until one is farther than the nearest: then all ties are known.
    open_, k = np.arange(len(positions)), 2
    while len(open_):
        k = min(k, len(points))
        distance, near = tree.query(positions[open_], np.arange(1, k + 1))
        index[open_] = np.where(distance == distance[:, :1], near, len(points)).min(1)
        tied = distance[:, -1] == distance[:, 0]
        open_ = open_[tied] if k < len(points) else open_[:0]
        k *= 4
    return index


def mean_cell_distances(
    points: np.ndarray, size: Sequence[int], stride: int, number: int
) -> np.ndarray:
    """Mean distance of each cell to its nearest points.

    The search is exact, in float64, in O(h w log m) time and O(h w k) memory.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels, finite.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        number: How many points, if there are as many.

    Returns:
        ``(h, w)`` float64 input pixels, from the centres of the cells; infinite without points.

    Examples:
        >>> mean_cell_distances(np.array([[0.0, 0.0], [3.0, 0.0]]), (1, 3), 1, 2)
        array([[1.5, 1.5, 1.5]])
    """
    height, width = size
    k = min(number, len(points))
    if k < 1:
        return np.full((height, width), np.inf)
    y, x = (cell_centre(np.arange(side, dtype=np.float64), stride) for side in (height, width))
    cells = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    return cKDTree(points).query(cells, np.arange(1, k + 1))[0].mean(1).reshape(height, width)
