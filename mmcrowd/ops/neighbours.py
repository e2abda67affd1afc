"""Distances between points of one image, by a KD-tree on the host.

Time grows as m log m with the number of points, but for many at one place: 20,000 equal points
take a second.
"""

import numpy as np
from scipy.spatial import cKDTree


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
