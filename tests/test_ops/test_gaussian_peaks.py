import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from mmcrowd.ops.gaussian_peaks import MIN_SIGMA, gaussian_peaks, neighbour_sigma


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(0, 6), reflect=st.booleans())
def test_against_filtered_dots(seed, m, reflect):
    """A crop of the maps that scipy makes of the whole image, one head after the other."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 30, 2)
    points = rng.random((m, 2)) * (width, height) - 0.5
    sigma = rng.uniform(MIN_SIGMA, 9, m)
    peaks, density = np.zeros((height, width)), np.zeros((height, width))
    for (x, y), width_of_head in zip(np.floor(points + 0.5).astype(int), sigma, strict=True):
        dot = np.zeros((height, width))
        dot[y, x] = 1
        constant = gaussian_filter(dot, width_of_head, mode='constant')
        peaks = np.maximum(peaks, constant / constant[y, x])
        mirrored = gaussian_filter(dot, width_of_head, mode='reflect')
        density += mirrored if reflect else constant
    top, left = rng.integers(0, (height // 2, width // 2))
    frame = ((-top, height - top), (-left, width - left)) if reflect else None
    size = (height - 2 * top, width - 2 * left)
    found = gaussian_peaks(points - (left, top), sigma, size, frame)
    for values, whole in zip(found, (peaks, density), strict=True):
        crop = whole[top : top + size[0], left : left + size[1]]
        np.testing.assert_allclose(values, crop, rtol=0, atol=1e-12)
    if reflect:  # nothing of the mass is lost
        full = gaussian_peaks(points, sigma, (height, width), ((0, height), (0, width)))[1]
        assert full.sum() == pytest.approx(m)


def test_heads_far_away_draw_nothing():
    points = np.array([[-40.0, 2.0], [2.0, 1e6], [-1e6, -1e6], [44.0, 44.0]])
    for frame in (None, ((0, 5), (0, 5))):
        peaks, density = gaussian_peaks(points, np.full(4, 2.0), (5, 5), frame)
        assert not peaks.any() and not density.any()


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(0, 9))
def test_sigma_by_all_distances(seed, m):
    points = np.random.default_rng(seed).integers(0, 40, (m, 2)).astype(float)  # some coincide
    found = neighbour_sigma(points, alone=7.0)
    for point, sigma in zip(points, found, strict=True):
        nearest = np.sort(np.hypot(*(points - point).T))[1:4]
        expected = max(0.3 * nearest.mean(), MIN_SIGMA) if len(nearest) else 7.0
        assert sigma == pytest.approx(expected)
