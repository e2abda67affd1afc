"""Distances between points of one image, by a KD-tree on the host."""

import numpy as np
from scipy.spatial import cKDTree


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
    return cKDTree(points).query(points, k=2)[0][:, 1]
