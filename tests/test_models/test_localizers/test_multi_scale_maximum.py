import numpy as np
import pytest
import torch
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
