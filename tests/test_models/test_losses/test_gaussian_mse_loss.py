import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.gaussian_mse_loss import GaussianMSELoss, truncated_gaussian_target
from tests.testing.losses import random_density, random_points, value_and_grad


def pasted_target(points, size, stride, sigma, side):
    """A Gaussian of what is left of its square is pasted at every point, pixel by pixel."""
    h, w = (cells * stride for cells in size)
    target = np.zeros((h, w))
    for x, y in points:
        x, y = int(np.clip(np.floor(x + 0.5), 0, w - 1)), int(np.clip(np.floor(y + 0.5), 0, h - 1))
        left, right = max(x - side // 2, 0), min(x + side // 2, w - 1)
        top, bottom = max(y - side // 2, 0), min(y + side // 2, h - 1)
        # As MATLAB's fspecial has it: around the middle of a window of these sides.
        v, u = np.mgrid[: bottom - top + 1, : right - left + 1].astype(float)
        v, u = v - v.mean(), u - u.mean()
        gaussian = np.exp(-(u**2 + v**2) / (2 * sigma**2))
        target[top : bottom + 1, left : right + 1] += gaussian / gaussian.sum()
    return target.reshape(size[0], stride, size[1], stride).sum((1, 3))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 12),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stride=st.sampled_from([1, 2, 8]),
    sigma=st.sampled_from([0.5, 4.0]),
    side=st.sampled_from([1, 5, 15]),
)
def test_target_is_what_is_pasted(seed, m, size, stride, sigma, side):
    points = random_points(m, size, stride, margin=9, seed=seed)
    expected = pasted_target(points.numpy(), size, stride, sigma, side)
    target = truncated_gaussian_target(points, size, stride, sigma, side)
    np.testing.assert_allclose(target, expected, rtol=1e-9, atol=1e-12)
    assert target.sum().item() == pytest.approx(m)


def test_a_person_in_the_corner_moves_inwards():
    target = truncated_gaussian_target(torch.tensor([[0.0, 0.0]]), (20, 20), 1, 4.0, 15)
    assert target[8:].sum() == target[:, 8:].sum() == 0
    assert (target == target.max()).nonzero().tolist() == [[3, 3], [3, 4], [4, 3], [4, 4]]
    middle = truncated_gaussian_target(torch.tensor([[9.0, 9.0]]), (20, 20), 1, 4.0, 15)
    assert (middle == middle.max()).nonzero().tolist() == [[9, 9]]


def test_value_and_gradient():
    density, points = random_density(5.0), random_points(3)
    loss = GaussianMSELoss(sigma=2.0, kernel_size=7, factor=10.0)
    terms, grad = value_and_grad(loss, density[None], [points])
    target = pasted_target(points.numpy(), (8, 8), 2, 2.0, 7)
    difference = density[0].numpy() - target
    assert terms['loss_density'].item() == pytest.approx(100 * np.mean(difference**2))
    np.testing.assert_allclose(grad[0, 0], 200 * difference / 64, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(sigma=0), 'sigma must be positive, but got 0'),
        (dict(factor=-1), 'factor must be positive, but got -1'),
        (dict(kernel_size=0), 'kernel_size must be at least 1, but got 0'),
        (dict(kernel_size=4), 'kernel_size must be odd, but got 4'),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=f'GaussianMSELoss: {match}'):
        GaussianMSELoss(**kwargs)
