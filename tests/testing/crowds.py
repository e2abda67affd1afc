"""Crowds drawn by chance, and their densities."""

import numpy as np
from scipy.ndimage import gaussian_filter


def crowd(num_points, size, stride, seed=0, sigma=4.0, smear=0.1):
    """Heads, and their density: blurred heads, a share of them as a wide smear."""
    h, w = size
    rng = np.random.default_rng(seed)
    frame = np.array([w, h]) * stride
    clusters = rng.random((num_points // 40 + 1, 2)) * frame
    heads = clusters[rng.integers(len(clusters), size=num_points)]
    heads += rng.normal(size=heads.shape) * frame.min() / 8
    alone = rng.random(num_points) < 0.5
    heads[alone] = (rng.random((num_points, 2)) * frame)[alone]
    heads = heads.clip(0, frame - 1)
    j, i = np.rint((heads - (stride - 1) / 2) / stride).astype(int).clip(0, [w - 1, h - 1]).T
    counts = np.zeros(size)
    np.add.at(counts, (i, j), 1)
    density = (1 - smear) * gaussian_filter(counts, sigma / stride)
    density += smear * gaussian_filter(counts, 30 / stride)
    return heads, density * num_points / density.sum()
