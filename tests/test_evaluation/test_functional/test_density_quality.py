import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.evaluation.functional.density_quality import blurred_truth, density_quality


@pytest.fixture
def skimage():
    return pytest.importorskip('skimage')


def window_ssim(a, b, value_range):
    """SSIM of Wang et al. as a loop over the windows that lie in the maps."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    values = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            x, y = (m[i : i + 11, j : j + 11] for m in (a, b))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            cov = (weights * (x - mx) * (y - my)).sum()
            values.append(
                (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
            )
    return np.mean(values)


def test_quality_against_the_formulas(skimage):
    rng = np.random.default_rng(0)
    truth = blurred_truth(rng.random((30, 2)) * (100, 60), (16, 25), stride=4, sigma=6.0)
    density = truth + 0.02 * rng.random(truth.shape)
    quality = density_quality(density, truth)
    mse = np.mean((density - truth) ** 2)
    assert quality['PSNR'] == pytest.approx(20 * math.log10(truth.max()) - 10 * math.log10(mse))
    assert quality['SSIM'] == pytest.approx(window_ssim(density, truth, truth.max()))
    assert density_quality(truth, truth) == dict(PSNR=math.inf, SSIM=pytest.approx(1))


def test_nobody_there_gives_nan(skimage):
    quality = density_quality(np.ones((11, 11)), np.zeros((11, 11)))
    assert math.isnan(quality['PSNR']) and math.isnan(quality['SSIM'])


def test_maps_that_do_not_fit(skimage):
    for shapes in (((11, 12), (11, 11)), ((10, 40), (10, 40))):
        with pytest.raises(ValueError, match='sides of at least 11 cells'):
            density_quality(*(np.zeros(shape) for shape in shapes))
    with pytest.raises(ValueError, match='sigma is 0, expected a positive number'):
        blurred_truth([[1, 2]], (11, 11), 4, 0)


@given(
    st.lists(st.tuples(st.floats(-20, 120), st.floats(-20, 120))),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 4, 8]),
    st.floats(0.5, 40),
)
def test_blurred_truth_keeps_the_count(points, height, width, stride, sigma):
    truth = blurred_truth(points, (height, width), stride, sigma)
    assert truth.shape == (height, width) and (truth >= 0).all()
    assert truth.sum() == pytest.approx(len(points))


def test_blurred_truth_is_a_gaussian_about_the_cell():
    # Column 47.4 is in the last pixel of cell 11, row 39.5 on the edge of cell 10.
    truth = blurred_truth([[47.4, 39.5]], (21, 23), stride=4, sigma=6.0)
    assert np.unravel_index(truth.argmax(), truth.shape) == (10, 11)
    assert truth[10, 12] / truth[10, 11] == pytest.approx(math.exp(-(4**2) / (2 * 6**2)))


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, 'skimage.metrics', None)
    with pytest.raises(ImportError, match="scikit-image: pip install 'scikit-image"):
        density_quality(np.zeros((11, 11)), np.zeros((11, 11)))
