"""The theorems of the paper, on random point-neighbour cases in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mmcrowd.analysis.pml_targets import (
    delta_target,
    kl_target,
    l2_target,
    logit_delta_target,
    projected_gaussian_target,
)
from mmcrowd.models.losses.bayesian_loss import BayesianLoss
from mmcrowd.models.losses.pml_loss import PMLLoss

COSTS = ('clamped', 'max_normalized', 'euclidean')
seeds = st.integers(0, 2**32 - 1)
taus = st.floats(0.1, 30)


class Case:
    """A random point-neighbour case, also as an image with the one point for PMLLoss."""

    def __init__(self, seed: int, cost: str = 'clamped', total: float | None = None):
        rng = np.random.default_rng(seed)
        self.stride, self.cost = int(rng.choice([1, 2, 8])), cost
        self.shape = h, w = rng.integers(1, 6, 2).tolist()
        point = rng.uniform(-0.5, 0.5 + np.array([w, h]) * self.stride, 2)
        self.points = [torch.from_numpy(point)[None]]
        a = torch.from_numpy(rng.random(h * w))
        self.a = a * (total or rng.uniform(1.05, 4)) / a.sum()
        y, x = np.mgrid[:h, :w].reshape(2, -1) * self.stride + (self.stride - 1) / 2
        self.cells = torch.from_numpy(np.stack((x, y), 1))
        d = np.hypot(x - point[0], y - point[1])
        far = d.max()
        c = dict(clamped=np.exp(d / max(far, 32)) - 1, max_normalized=np.exp(d - far), euclidean=d)[
            cost
        ]
        self.c = torch.from_numpy(c)

    def loss(self, **options):
        """Value and gradient ``(n,)`` of PMLLoss."""
        density = self.a.clone().requires_grad_()
        loss = PMLLoss(self.cost, **options)
        terms = loss(density.view(1, 1, *self.shape), self.points, self.stride)
        value = sum(terms.values())
        value.backward()
        return value.detach(), density.grad


def l2_objective(case, p, tau):
    return case.c @ p + tau / 2 * (p - case.a).square().sum()


def kl_objective(case, p, tau):
    divergence = torch.special.xlogy(p, p / case.a).sum() - p.sum() + case.a.sum()
    return case.c @ p + tau * divergence


@settings(max_examples=40, deadline=None)
@given(seeds, taus, st.sampled_from(COSTS))
def test_eq_7_minimises_eq_4(seed, tau, cost):
    case = Case(seed, cost)
    p = l2_target(case.a, case.c, tau)
    assert p.sum().item() == pytest.approx(1)
    n = len(p)
    found = minimize(
        lambda q: l2_objective(case, torch.from_numpy(q), tau).item(),
        np.full(n, 1 / n),
        jac=lambda q: (case.c + tau * (torch.from_numpy(q) - case.a)).numpy(),
        constraints=dict(type='eq', fun=lambda q: q.sum() - 1, jac=lambda q: np.ones(n)),
        method='SLSQP',
        options=dict(ftol=1e-14, maxiter=500),
    )
    np.testing.assert_allclose(p, found.x, atol=1e-4 * (1 + np.abs(found.x).max()))
    assert l2_objective(case, p, tau) <= found.fun + 1e-9 * (1 + abs(found.fun))


@settings(max_examples=40, deadline=None)
@given(seeds, taus, st.sampled_from(COSTS))
def test_eq_22_minimises_eq_21(seed, tau, cost):
    case = Case(seed, cost)
    p = kl_target(case.a, case.c, tau)
    assert p.sum().item() == pytest.approx(1) and (p >= 0).all()

    # Unconstrained, with p a softmax of free numbers.
    def objective(z):
        z = torch.from_numpy(z).requires_grad_()
        value = kl_objective(case, torch.softmax(z, 0), tau)
        value.backward()
        return value.item(), z.grad.numpy()

    found = minimize(objective, np.zeros(len(p)), jac=True, method='BFGS', options=dict(gtol=1e-9))
    least = kl_objective(case, p, tau).item()
    # BFGS may stop short of the minimum, where shares vanish.
    assert least <= found.fun + 1e-9 * (1 + abs(found.fun))
    # No p is lower than by the duality gap of a convex objective, nor farther away than its root
    # (Pinsker). Cells whose share underflows are worth less than that.
    kept = p > 1e-290
    slope = case.c[kept] + tau * (p[kept] / case.a[kept]).log()
    gap = (p[kept] @ slope - slope.min()).item()
    assert gap <= 1e-9 * (1 + abs(least))


@settings(max_examples=40, deadline=None)
@given(seeds, taus, st.sampled_from(COSTS))
def test_eq_8_and_eq_13_have_the_same_gradient(seed, tau, cost):
    case = Case(seed, cost)
    a = case.a.clone().requires_grad_()
    p = l2_target(a, case.c, tau).detach()
    (tau / 2 * (a - p).square().sum()).backward()
    _, grad = case.loss(norm='l2', epsilon=tau)
    torch.testing.assert_close(grad, a.grad, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(COSTS), st.floats(0.1, 5))
def test_eq_14_is_eq_13_with_a_dynamic_tau(seed, cost, epsilon):
    # tau = 2 n epsilon / |s - 1| makes the count term epsilon |s - 1|; held fixed, its slope is
    # twice that of the L1 form.
    case = Case(seed, cost)
    n, error = len(case.a), (case.a.sum() - 1).abs().item()
    tau = 2 * n * epsilon / error
    value, grad = case.loss(norm='l2', epsilon=tau)
    expected, expected_grad = case.loss(norm='l1', epsilon=epsilon)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    _, background = case.loss(norm='l1', epsilon=0)
    torch.testing.assert_close(
        grad - background, 2 * (expected_grad - background), rtol=1e-9, atol=1e-9
    )


@settings(max_examples=40, deadline=None)
@given(seeds, taus, st.sampled_from(COSTS))
def test_eq_35_is_eq_21_at_its_solution(seed, tau, cost):
    case = Case(seed, cost)
    case.a = case.a * 3 / case.a.sum()
    share = (case.a * torch.exp((case.c.min() - case.c) / tau)).sum()
    if share < 0.1:  # on the tangent
        return
    least = kl_objective(case, kl_target(case.a, case.c, tau), tau)
    value, grad = case.loss(norm='kl', tau=tau)
    torch.testing.assert_close(value, least, rtol=1e-9, atol=1e-9)
    # By the envelope theorem the gradient is that of the divergence with p held fixed.
    p = kl_target(case.a, case.c, tau)
    torch.testing.assert_close(grad, tau * (1 - p / case.a), rtol=1e-7, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(COSTS))
def test_eq_23_is_the_limit_of_eq_22_put_into_eq_21(seed, cost):
    case = Case(seed, cost)
    for epsilon in (0.5, 2.0):
        p = kl_target(case.a, case.c, math.inf)
        torch.testing.assert_close(p, case.a / case.a.sum())
        value, _ = case.loss(norm='kl', epsilon=epsilon)
        torch.testing.assert_close(value, kl_objective(case, p, epsilon), rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_one_point_reduces_bayesian_loss_to_its_case(seed):
    # eq. 11: |1 - p'a| + q'a, with p + q = 1 over the cells of the case.
    case = Case(seed)
    h, w = case.shape
    d = (case.cells - case.points[0]).norm(dim=1)
    dummy = (min(h, w) * case.stride) ** 2 / (d.square() + 1e-5)
    q = torch.stack((-d.square(), -dummy)).div(128).softmax(0)[1]
    expected = (1 - (1 - q) @ case.a).abs() + q @ case.a
    density = case.a.view(1, 1, h, w)
    actual = sum(BayesianLoss()(density, case.points, case.stride).values())
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    # PML with this background has the same weights.
    _, grad = case.loss(background='ma2019', epsilon=0)
    torch.testing.assert_close(grad, q, rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seeds, taus)
def test_delta_target_is_the_best_single_cell(seed, tau):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    a, c = torch.from_numpy(rng.random((2, n)))
    objective = c + tau * (torch.eye(n, dtype=a.dtype) - a).abs().sum(1)
    p = delta_target(a, c, tau)
    assert p.sum() == 1 and p[objective.argmin()] == 1


@settings(max_examples=60, deadline=None)
@given(seeds, taus)
def test_logit_delta_target_is_the_best_single_cell(seed, tau):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    x, c = torch.from_numpy(rng.normal(size=(2, n)) * 4)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    objective = torch.stack(
        [c[i] + tau * entropy(x, p, reduction='sum') for i, p in enumerate(torch.eye(n).double())]
    )
    p = logit_delta_target(x, c, tau)
    assert p.sum() == 1 and p[objective.argmin()] == 1


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0.5, 8))
def test_gaussian_target_towards_tau_0_is_the_blurred_dot(seed, sigma):
    case = Case(seed)
    p = projected_gaussian_target(case.a, case.c, 1e-9, case.cells, sigma)
    nearest = case.cells[case.c.argmin()]
    dot = torch.exp(-(case.cells - nearest).square().sum(1) / (2 * sigma**2))
    torch.testing.assert_close(p, dot / dot.sum(), rtol=1e-6, atol=1e-9)


def test_gaussian_target_has_the_moments_of_the_mapping():
    # A wide density that needs no transport: p* = a, and the Gaussian has its mean and covariance.
    y, x = torch.meshgrid(*[torch.arange(61).double()] * 2, indexing='ij')
    cells = torch.stack((x, y), -1).view(-1, 2)
    mean = torch.tensor([28.0, 33.0]).double()
    covariance = torch.tensor([[30.0, 12.0], [12.0, 18.0]]).double()
    off = cells - mean
    a = torch.exp(-(off @ covariance.inverse() * off).sum(1) / 2)
    a /= a.sum()
    p = projected_gaussian_target(a, torch.zeros_like(a), 1.0, cells, sigma=1.0)
    torch.testing.assert_close(p, a, rtol=0, atol=1e-5)
    # A larger sigma holds the variances up.
    p = projected_gaussian_target(a, torch.zeros_like(a), 1.0, cells, sigma=5.0)
    off = cells - p @ cells
    spread = torch.linalg.eigvalsh((p[:, None] * off).T @ off)
    torch.testing.assert_close(spread[0].item(), 25.0, rtol=0.02, atol=0)
    assert spread[1] > 36
