import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from mmcrowd.models.localizers.local_maximum import LocalMaximum
from mmcrowd.models.localizers.multi_scale_maximum import MultiScaleMaximum
from mmcrowd.ops.smoothing import gaussian_blur


@pytest.mark.parametrize('sigma', [0.4, 1.5, 3.0])
def test_blur(sigma):
    values = np.random.default_rng(0).random((13, 20))
    reach = int(np.ceil(4 * sigma))
    expected = gaussian_filter(values, sigma, mode='constant', radius=reach)
    np.testing.assert_allclose(gaussian_blur(torch.from_numpy(values), sigma), expected)


def points_by_cells(density, sigmas, threshold, separation, stride):
    """Points and strengths cell by cell, with distances to all points so far."""
    found = []
    for sigma in sigmas:
        cells = sigma / stride
        reach = int(np.ceil(4 * cells))
        blurred = gaussian_filter(density, cells, mode='constant', radius=reach)
        strength = 2 * np.pi * cells**2 * blurred
        scale = []
        for row, column in np.ndindex(strength.shape):
            value = strength[row, column]
            around = strength[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            if value >= threshold and value == around.max():
                place = [cell * stride + (stride - 1) / 2 for cell in (column, row)]
                if all(np.hypot(*np.subtract(place, p)) > separation * sigma for p, _ in found):
                    scale.append((place, value))
        found += sorted(scale, key=lambda point: -point[1])
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 16), st.integers(1, 16)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([(1.5,), (2.0, 5.0), (1.0, 3.0, 9.0)]),
    st.sampled_from([0.02, 0.3]),
    st.sampled_from([0.0, 0.7, 2.0]),
)
def test_points_are_those_found_cell_by_cell(size, seed, stride, sigmas, threshold, separation):
    """On heads of random places and masses over noise, so that no two cells are equal."""
    rng = np.random.default_rng(seed)
    density = 1e-3 * rng.random(size) + rng.random(size) * (rng.random(size) < 0.1)
    localizer = MultiScaleMaximum(sigmas, threshold, separation)
    points, strengths = localizer(torch.from_numpy(density), stride)
    expected = points_by_cells(density, sigmas, threshold, separation, stride)
    assert points.tolist() == [place for place, _ in expected]
    np.testing.assert_allclose(strengths, [value for _, value in expected], rtol=1e-6)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('spread', [1.0, 4.0, 8.0])
def test_strength_of_a_gaussian_head(stride, spread):
    """sigma^2 / (sigma^2 + s^2) persons, at the first scale that passes."""
    y, x = np.mgrid[:64, :64] * stride
    centre = 32 * stride
    density = np.exp(-((x - centre) ** 2 + (y - centre) ** 2) / (2 * spread**2))
    density = torch.from_numpy(density / density.sum())
    points, strengths = MultiScaleMaximum(sigmas=(4.0, 8.0), threshold=0.4)(density, stride)
    sigma = 4.0 if 16 / (16 + spread**2) >= 0.4 else 8.0
    assert points.tolist() == [[centre + (stride - 1) / 2] * 2]
    np.testing.assert_allclose(strengths, [sigma**2 / (sigma**2 + spread**2)], rtol=0.02)


def test_a_coarse_peak_near_a_point_is_left_out():
    density = torch.zeros(32, 64)
    density[16, 12], density[16, 18] = 1.0, 1.0  # one peak between them at the coarse scale
    fine = MultiScaleMaximum(sigmas=(1.0,))(density, 1)[0]
    both = MultiScaleMaximum(sigmas=(1.0, 6.0))(density, 1)[0]
    coarse = MultiScaleMaximum(sigmas=(6.0,))(density, 1)[0]
    assert sorted(fine.tolist()) == sorted(both.tolist()) == [[12, 16], [18, 16]]
    assert coarse.tolist() == [[15, 16]]


def test_blur_joins_the_peaks_of_a_head():
    density = torch.zeros(24, 24)
    density[12, 10], density[12, 14] = 0.5, 0.5
    assert len(LocalMaximum()(density, 2)[0]) == 2
    points, _ = LocalMaximum(threshold=1e-3, blur=6.0)(density, 2)
    assert points.tolist() == [[24.5, 24.5]]
    with pytest.raises(ValueError, match='blur must not be negative'):
        LocalMaximum(blur=-1)


def test_an_empty_map_has_no_points():
    points, strengths = MultiScaleMaximum()(torch.zeros(8, 8), 2)
    assert points.shape == (0, 2) and strengths.shape == (0,)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r'sigmas=\(3, 2\)'):
        MultiScaleMaximum(sigmas=(3, 2))
    with pytest.raises(ValueError, match='threshold=0'):
        MultiScaleMaximum(threshold=0)
