import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.gaussian_l2_loss import (
    GaussianL2Loss,
    adaptive_sigma,
    gaussian_target,
)
from tests.testing.losses import (
    random_density,
    random_points,
    value_and_grad,
)


def dense_target(points, size, stride, sigma):
    """Every Gaussian as a map of its own, over its sum."""
    h, w = size
    y, x = np.mgrid[:h, :w] * stride + (stride - 1) / 2
    target = np.zeros(size)
    for (px, py), s in zip(points, np.broadcast_to(sigma, len(points)), strict=True):
        px, py = np.clip(px, -0.5, w * stride - 0.5), np.clip(py, -0.5, h * stride - 0.5)
        g = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * s**2))
        target += g / g.sum()
    return target


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 30),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stride=st.sampled_from([1, 2, 4, 8]),
    sigma=st.sampled_from([4.0, 15.0, 'each']),
)
def test_target_is_the_dense_sum(seed, m, size, stride, sigma):
    points = random_points(m, size, stride, margin=9, seed=seed)
    if sigma == 'each':
        sigma = 2 + 10 * torch.rand(m, dtype=torch.float64)
    expected = dense_target(points.numpy(), size, stride, np.asarray(sigma))
    target = gaussian_target(points, size, stride, sigma)
    np.testing.assert_allclose(target, expected, rtol=1e-9, atol=1e-12)
    single = sigma.float() if isinstance(sigma, torch.Tensor) else sigma
    target = gaussian_target(points.float(), size, stride, single)
    assert target.dtype == torch.float32
    np.testing.assert_allclose(target, expected, atol=1e-5 * (1 + expected.max()))


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), max_size=20),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    stride=st.sampled_from([1, 2, 8]),
    sigma=st.sampled_from([1e-3, 0.3, 4.0, 1e3]),
)
def test_target_sums_to_the_number_of_points(points, size, stride, sigma):
    points = torch.tensor(points).view(-1, 2)
    target = gaussian_target(points, size, stride, sigma)
    assert (target >= 0).all()
    assert target.sum().item() == pytest.approx(len(points), rel=1e-5)


def test_target_by_hand():
    # Cells at x = 0.5 and 2.5, and a point at the first one.
    target = gaussian_target(torch.tensor([[0.5, 0.5]]), (1, 2), 2, 2.0)
    g = np.exp(-(2**2) / (2 * 2**2))
    np.testing.assert_allclose(target, [[1 / (1 + g), g / (1 + g)]], rtol=1e-6)


def test_point_beyond_the_frame_counts_at_its_edge():
    far = torch.tensor([[-1e7, 5.0], [30.0, -70.0], [900.0, 900.0]])
    edge = torch.tensor([[-0.5, 5.0], [30.0, -0.5], [63.5, 31.5]])
    target = gaussian_target(far, (16, 32), 2, 4.0)
    torch.testing.assert_close(target, gaussian_target(edge, (16, 32), 2, 4.0))
    assert target[0, 15] > 0.01 and target[-1, -1] > 0.01


def test_narrow_gaussian_is_in_the_nearest_cell():
    # 3 pixels from the centre, 3000 sigma
    target = gaussian_target(torch.tensor([[6.5, 14.5]]), (2, 2), 8, 1e-3)
    assert target.tolist() == [[0, 0], [1, 0]]


def brute_force_sigma(points, beta, max_sigma):
    """From the sorted rows of all distances, float64."""
    distance = np.sort(np.hypot(*(points[:, None] - points).T), axis=1)
    return np.clip(3 * beta * distance[:, 1:4].mean(1), 1, max_sigma)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(2, 60),
    copies=st.integers(1, 5),
    side=st.sampled_from([8, 400]),
)
def test_adaptive_sigma_is_that_of_all_distances(seed, m, copies, side):
    points = np.random.default_rng(seed).uniform(-20, side, (m, 2)).repeat(copies, 0)
    expected = brute_force_sigma(points, 0.2, 50.0)
    sigma = adaptive_sigma(torch.from_numpy(points), 0.2, 50.0)
    assert sigma.dtype == torch.float64
    np.testing.assert_allclose(sigma, expected, rtol=1e-12)
    single = points.astype(np.float32)
    sigma = adaptive_sigma(torch.from_numpy(single), 0.2, 50.0)
    assert sigma.dtype == torch.float32
    expected = brute_force_sigma(single.astype(float), 0.2, 50.0)
    np.testing.assert_allclose(sigma, expected, rtol=1e-6)


def test_adaptive_sigma_of_as_many_points_as_one_likes():
    # 250,000 points, 6e10 pairs of them. Three neighbours at 20 px, in the corners two.
    x, y = torch.meshgrid(torch.arange(500.0), torch.arange(500.0), indexing='ij')
    sigma = adaptive_sigma(20 * torch.stack((x, y), -1).view(-1, 2), 0.1, 50.0).view(500, 500)
    expected = torch.full((500, 500), 6.0)
    expected[::499, ::499] = 0.1 * (20 + 20 + 20 * 2**0.5)
    torch.testing.assert_close(sigma, expected)


def test_adaptive_sigma_of_a_point_that_is_not_finite():
    with pytest.raises(ValueError, match='must be finite'):
        adaptive_sigma(torch.tensor([[1.0, torch.nan], [2.0, 3.0]]), 0.1, 15.0)


@pytest.mark.parametrize(
    ('points', 'expected'),
    [
        ([], []),
        ([[5, 5]], [20]),
        ([[0, 0], [30, 40]], [15, 15]),  # 3 * 50 / 10
        ([[0, 0], [30, 40], [30, 0]], [12, 13.5, 10.5]),  # 3 * (50 + 30) / 2 / 10 ...
        ([[0, 0], [30, 40], [30, 0], [0, 40]], [12, 12, 12, 12]),  # (30 + 40 + 50) / 10
        ([[7, 7]] * 5, [1] * 5),
        ([[0, 0], [1e7, 0]], [20, 20]),
    ],
)
def test_adaptive_sigma_by_hand(points, expected):
    sigma = adaptive_sigma(torch.tensor(points).float().view(-1, 2), 0.1, 20.0)
    torch.testing.assert_close(sigma, torch.tensor(expected).float())


def test_adaptive_sigma_of_close_points_far_from_the_origin():
    points = torch.tensor([[0, 0], [0, 40], [30, 0], [30, 40]] + [[90, 90]] * 30) + 8192.0
    assert adaptive_sigma(points, 0.1, 15.0)[:4].tolist() == pytest.approx([12] * 4)


@pytest.mark.parametrize('sigma', [4.0, 15.0, 'adaptive'])
def test_loss_is_the_squared_error(sigma):
    density = random_density(20.0, (12, 16))[None]
    points = random_points(9, (12, 16))
    value = adaptive_sigma(points, 0.2, 9.0).numpy() if sigma == 'adaptive' else sigma
    error = density[0, 0].numpy() - dense_target(points.numpy(), (12, 16), 2, value)
    loss = GaussianL2Loss(sigma, beta=0.2, max_sigma=9.0, scale=3.0)
    terms, grad = value_and_grad(loss, density, [points])
    assert terms['loss_density'].item() == pytest.approx(3 * (error**2).sum())
    np.testing.assert_allclose(grad[0, 0], 6 * error, rtol=1e-9)


def test_no_points_ask_for_no_density():
    density = random_density(3.0)[None]
    terms, _ = value_and_grad(GaussianL2Loss(scale=1.0), density, [torch.zeros(0, 2)])
    assert terms['loss_density'].item() == pytest.approx(density.square().sum().item())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(sigma=-1), "GaussianL2Loss: sigma must be positive or 'adaptive', but got -1"),
        (dict(sigma='fixed'), "sigma must be positive or 'adaptive', but got 'fixed'"),
        (dict(beta=0), 'GaussianL2Loss: beta must be positive, but got 0'),
        (dict(max_sigma=-2.0), 'GaussianL2Loss: max_sigma must be positive, but got -2.0'),
        (dict(scale=0), 'GaussianL2Loss: scale must be positive, but got 0'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianL2Loss(**arguments)


def test_bad_sigma_of_the_target():
    with pytest.raises(ValueError, match='gaussian_target: sigma must be positive, but got 0'):
        gaussian_target(torch.zeros(1, 2), (2, 2), 2, 0)
