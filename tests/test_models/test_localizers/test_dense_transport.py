import numpy as np
import torch

from mmcrowd.models.localizers.dense_transport import (
    annealed_plan,
    annealing,
    dense_transport,
    sinkhorn_step,
)
from mmcrowd.models.localizers.ot_minimization import draw_starts

from ...testing.crowds import crowd


def test_epsilon_falls_from_the_largest_cost():
    assert list(annealing(3.0))[:2] == [8.0, 6.0]
    steps = list(annealing(100.0))
    assert steps[0] == 100 and steps[-1] == 0.01
    np.testing.assert_allclose(np.divide(steps[1:-1], steps[:-2]), 0.75)
    assert 0.01 < steps[-2] <= 0.01 / 0.75


def test_a_step_meets_one_marginal_after_the_other():
    rng = np.random.default_rng(0)
    cost, mass, g = (torch.from_numpy(rng.random(size)) for size in ((6, 3), 6, 3))
    f, new_g = sinkhorn_step(cost, mass, g, 0.3)
    before = mass[:, None] * torch.exp((f[:, None] + g - cost) / 0.3)
    torch.testing.assert_close(before.sum(1), mass)
    after = mass[:, None] * torch.exp((f[:, None] + new_g - cost) / 0.3)
    torch.testing.assert_close(after.sum(0), torch.ones(3, dtype=torch.float64))


def test_marginals_of_the_plan():
    _, density = crowd(60, (40, 48), 2, seed=1)
    starts = draw_starts(density, 60, 2, np.random.default_rng(0))
    y, x = np.mgrid[:40, :48] * 2 + 0.5
    cells = torch.from_numpy(np.stack((x.ravel(), y.ravel()), 1))
    mass = torch.from_numpy(density.ravel())
    plan = annealed_plan(cells, mass, torch.from_numpy(starts))
    # That of the points exactly, that of the cells nearly.
    np.testing.assert_allclose(plan.sum(0), 1, rtol=1e-6)
    assert (plan.sum(1) - mass).abs().sum() < 0.2 * mass.sum()

    points, spread = dense_transport(density, starts, 2)
    np.testing.assert_allclose(points, plan.T @ cells)
    expected = (plan * torch.cdist(cells, torch.from_numpy(points)).square()).sum(0)
    np.testing.assert_allclose(spread, expected)


def test_two_points_share_a_line_evenly():
    """Mass 2 on a line of equal cells: each point gets its half, and the middle of it."""
    mass = np.full((1, 40), 2 / 40)
    points, spread = dense_transport(mass, np.array([[20.0, 0.5], [60.0, 0.5]]), 2)
    np.testing.assert_allclose(points, [[19.5, 0.5], [59.5, 0.5]], atol=0.05)
    # 20 cells, 2 pixels apart
    np.testing.assert_allclose(spread, 4 * (20**2 - 1) / 12, rtol=0.01)


def test_work_is_done_in_the_type_of_the_mass():
    mass = np.ones((2, 2), np.float32)
    points, spread = dense_transport(mass, np.zeros((4, 2), np.float32), 2)
    assert points.dtype == spread.dtype == np.float32
