"""The matching of many points: time and memory."""

import resource
import time

import numpy as np
from scipy.spatial import cKDTree

from mmcrowd.evaluation.functional.localization import match_points, match_points_at_radii


def measure(num_points: int, radius: float) -> tuple[int, int, float, float, float]:
    """Match uniform points in the unit square, in a process that has matched none before.

    Args:
        num_points: Number of predicted points, and of true ones.
        radius: Of the matching; the 100 radii go up to it.

    Returns:
        Pairs within the radius, matched ones, processor seconds at one radius and at 100 radii, and
        by how many MiB the peak of the process's memory rose at one radius.
    """
    rng = np.random.default_rng(0)
    pred, gt = rng.random((num_points, 2)), rng.random((num_points, 2))
    before = _peak_mib()
    start = time.process_time()
    matches = len(match_points(pred, gt, radius)[0])
    one = time.process_time() - start
    memory = _peak_mib() - before
    start = time.process_time()
    match_points_at_radii(pred, gt, (radius * np.linspace(0.01, 1, 100)).tolist())
    hundred = time.process_time() - start
    return cKDTree(gt).count_neighbors(cKDTree(pred), radius), matches, one, hundred, memory


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
