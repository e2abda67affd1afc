import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mmcrowd.models.losses.bayesian_loss import BayesianLoss
from mmcrowd.models.losses.noise_cc_loss import (
    NoiseCCLoss,
    noise_cc_nll,
    noisy_density_covariance,
    noisy_density_moments,
)
from mmcrowd.ops.grid import cell_centres
from tests.testing.losses import (
    random_density,
    random_points,
)

SIZE, STRIDE = (5, 7), 4
OPTIONS = dict(noise_sigma=8.0, kernel_sigma=8.0, rank=100, floor=0.1)


def all_cells(size=SIZE, stride=STRIDE) -> Tensor:
    """``(n, 2)`` centres of the cells in the order of a flattened map."""
    x, y = cell_centres(size, stride, torch.zeros(0, dtype=torch.float64))
    y, x = torch.meshgrid(y, x, indexing='ij')
    return torch.stack((x, y), -1).view(-1, 2)


def maps(points, kernel_sigma, size=SIZE, stride=STRIDE) -> Tensor:
    """Density maps ``(..., n)`` of points ``(..., m, 2)``, persons per cell."""
    square = (all_cells(size, stride)[:, None] - points[..., None, :, :]).square().sum(-1)
    variance = kernel_sigma**2
    return stride**2 * (square / (-2 * variance)).exp().sum(-1) / (2 * math.pi * variance)


def dense_covariance(points, noise_sigma, kernel_sigma, size=SIZE, stride=STRIDE) -> np.ndarray:
    """``(n, n)`` from the formula with the cells' mid-points."""

    def normal(offset, variance):
        return np.exp(-(offset**2).sum(-1) / (2 * variance)) / (2 * np.pi * variance)

    cells = all_cells(size, stride).numpy()
    mid = (cells[:, None] + cells) / 2
    covariance = np.zeros((len(cells), len(cells)))
    for point in points.numpy():
        covariance += normal(cells[:, None] - cells, 2 * kernel_sigma**2) * normal(
            mid - point, kernel_sigma**2 / 2 + noise_sigma**2
        )
        mean = normal(cells - point, kernel_sigma**2 + noise_sigma**2)
        covariance -= mean[:, None] * mean
    return stride**4 * covariance


SIGMAS = [(8.0, 8.0), (3.0, 6.0), (9.0, 5.0)]


@pytest.mark.parametrize('sigmas', SIGMAS)
def test_moments_are_the_integrals_over_the_noise(sigmas):
    noise_sigma, kernel_sigma = sigmas
    point = torch.tensor([[9.3, 12.1]], dtype=torch.float64)
    # a grid of displacements; for Gaussians the plain sum converges faster than any power
    step = torch.linspace(-7, 7, 71, dtype=torch.float64)
    weight = (-step.square() / 2).exp()
    weight = weight.outer(weight).flatten()
    weight /= weight.sum()
    displaced = point + noise_sigma * torch.cartesian_prod(step, step)
    sample = maps(displaced[:, None], kernel_sigma)
    mean = weight @ sample
    covariance = (sample.T * weight) @ sample - mean.outer(mean)

    actual, variance = noisy_density_moments(point, SIZE, STRIDE, *sigmas)
    torch.testing.assert_close(actual.flatten(), mean, rtol=1e-7, atol=0)
    torch.testing.assert_close(variance.flatten(), covariance.diag(), rtol=1e-6, atol=1e-12)
    actual = noisy_density_covariance(all_cells(), point, STRIDE, *sigmas)
    atol = 1e-7 * covariance.max().item()
    torch.testing.assert_close(actual, covariance, rtol=1e-6, atol=atol)


def test_moments_of_sampled_noise():
    rng = torch.Generator().manual_seed(0)
    points = torch.tensor([[3.0, 4.0], [20.0, 10.0], [17.0, 14.0]], dtype=torch.float64)
    noise = torch.randn(40000, 3, 2, generator=rng, dtype=torch.float64)
    sample = torch.cat([maps(points + 6 * part, 5.0) for part in noise.split(5000)])
    mean, variance = noisy_density_moments(points, SIZE, STRIDE, 6.0, 5.0)
    covariance = noisy_density_covariance(all_cells(), points, STRIDE, 6.0, 5.0)
    largest = covariance.max().item()
    assert covariance.min() < -0.1 * largest  # so that signs matter
    torch.testing.assert_close(sample.mean(0), mean.flatten(), rtol=0, atol=0.02 * mean.max())
    torch.testing.assert_close(sample.T.cov(), covariance, rtol=0, atol=0.02 * largest)
    torch.testing.assert_close(variance.flatten(), covariance.diag())


@pytest.mark.parametrize('sigmas', SIGMAS)
def test_covariance_is_the_dense_formula(sigmas):
    points = random_points(12, SIZE, STRIDE, margin=9)
    expected = dense_covariance(points, *sigmas)
    actual = noisy_density_covariance(all_cells(), points, STRIDE, *sigmas)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12 * expected.max())
    _, variance = noisy_density_moments(points, SIZE, STRIDE, *sigmas)
    np.testing.assert_allclose(variance.flatten(), expected.diagonal(), rtol=1e-9)


@pytest.mark.parametrize('rank', [0, 1, 6, 35, 100])
@pytest.mark.parametrize('sigmas', SIGMAS)
def test_nll_is_that_of_the_dense_covariance(sigmas, rank):
    points = random_points(5, SIZE, STRIDE)
    density = random_density(7.0, SIZE)[0].requires_grad_()
    nll = noise_cc_nll(density, points, STRIDE, *sigmas, rank=rank, floor=0.2)
    nll.backward()

    full = dense_covariance(points, *sigmas)
    lone = dense_covariance(torch.zeros(1, 2).double(), *sigmas, size=(1, 1), stride=1)
    white = 0.2 * STRIDE**4 * lone.item()
    V = full.diagonal() + white
    picked = np.argsort(-V)[:rank]
    M = np.eye(len(V))[:, picked]
    A = full[np.ix_(picked, picked)] * (1 - np.eye(len(picked)))
    residual = density.detach().flatten().numpy()
    mean, _ = noisy_density_moments(points, SIZE, STRIDE, *sigmas)
    residual = residual - mean.flatten().numpy()

    direct = np.linalg.inv(np.diag(V) + M @ A @ M.T)
    assert nll.item() == pytest.approx(residual @ direct @ residual / 2, rel=1e-8)
    np.testing.assert_allclose(density.grad.flatten(), direct @ residual, rtol=1e-7, atol=1e-9)
    if rank > 1:  # with one cell A = 0
        N = M / V[:, None]
        woodbury = np.diag(1 / V) - N @ np.linalg.inv(np.linalg.inv(A) + M.T @ N) @ N.T
        assert nll.item() == pytest.approx(residual @ woodbury @ residual / 2, rel=1e-6)


def test_lone_person_by_hand():
    # One cell of one pixel, at the person; alpha^2 + beta^2 = 25 and tau^2 = 9 + 16 / 2 = 17.
    mean = 1 / (2 * math.pi * 25)
    variance = 1 / (2 * math.pi * 32) / (2 * math.pi * 17) - mean**2
    points = torch.zeros(1, 2, dtype=torch.float64)
    actual = noisy_density_moments(points, (1, 1), 1, 3.0, 4.0)
    assert [t.item() for t in actual] == pytest.approx([mean, variance])
    density = torch.full((1, 1), 0.05, dtype=torch.float64)
    for rank in (0, 1):
        nll = noise_cc_nll(density, points, 1, 3.0, 4.0, rank, 0.25)
        assert nll.item() == pytest.approx((0.05 - mean) ** 2 / (1.25 * variance) / 2)


def test_misplaced_person_costs_less_than_a_missed_one():
    points = torch.tensor([[64.0, 64.0]], dtype=torch.float64)

    def nll(*places):
        places = torch.tensor(places, dtype=torch.float64).view(-1, 2)
        density = maps(places, 8.0, (16, 16), 8).view(16, 16)
        return noise_cc_nll(density, points, 8, **OPTIONS).item()

    near, far, none = nll((64.0, 72.0)), nll((64.0, 112.0)), nll()
    assert near < none < far
    # at least at the mean
    mean, _ = noisy_density_moments(points, (16, 16), 8, 8.0, 8.0)
    assert noise_cc_nll(mean, points, 8, **OPTIONS) == 0


def test_mean_holds_everyone():
    points = random_points(20, (16, 16), 8) / 2 + 32
    mean, _ = noisy_density_moments(points, (16, 16), 8, 4.0, 6.0)
    assert mean.sum().item() == pytest.approx(20, rel=1e-4)


def test_float32_agrees_with_float64():
    # a dense crowd at a fine stride, where the covariance is nearly singular
    points = random_points(400, (40, 40), margin=3)
    density = random_density(300.0, (40, 40))[0]
    expected = noise_cc_nll(density, points, 2, **OPTIONS)
    actual = noise_cc_nll(density.float(), points.float(), 2, **OPTIONS)
    assert actual.dtype == torch.float32
    assert actual.item() == pytest.approx(expected.item(), rel=1e-5)


def test_terms():
    density, points = random_density(20.0, (12, 16))[None], random_points(9, (12, 16))
    loss = NoiseCCLoss(5.0, 7.0, 30, 0.02, 0.4, 0.3)
    terms = loss(density, [points], 2, image_sides=[300.0])
    nll = noise_cc_nll(density[0, 0], points, 2, 5.0, 7.0, 30, 0.3)
    assert terms.pop('loss_noise').item() == pytest.approx(0.02 * nll.item())
    expected = BayesianLoss(7.0, True, 0.4)(density, [points], 2, image_sides=[300.0])
    torch.testing.assert_close(terms, expected)


@pytest.mark.parametrize(
    ('key', 'value', 'wanted'),
    [
        ('noise_sigma', 0, 'positive'),
        ('kernel_sigma', -1, 'positive'),
        ('rank', -1, 'at least 0'),
        ('noise_weight', 0, 'positive'),
        ('background_ratio', -0.1, 'positive'),
        ('floor', 0, 'positive'),
    ],
)
def test_bad_arguments(key, value, wanted):
    with pytest.raises(ValueError, match=f'NoiseCCLoss: {key} must be {wanted}, but got {value}'):
        NoiseCCLoss(**{key: value})
