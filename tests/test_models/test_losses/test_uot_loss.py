import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mmcrowd.models.losses.uot_loss import UOTLoss, uot_loss, uot_potentials
from mmcrowd.ops.grid import gaussian_kernel
from tests.testing.losses import check_hard_batch, value_and_grad

OPTIONS = dict(scale=32.0, rho=1.0, epsilon=0.05, iterations=100)


def random_image(m=5, shape=(6, 8), stride=8, total=4.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    frame = torch.tensor([shape[1], shape[0]]) * stride
    points = torch.rand(m, 2, generator=rng, dtype=torch.float64) * frame - 0.5
    density = torch.rand(shape, generator=rng, dtype=torch.float64) ** 4
    return density * total / density.sum(), points


def dense_cost(points, shape, stride, scale=32.0):
    """``(h * w, m)``, cell by cell."""
    centre = [k * stride + (stride - 1) / 2 for k in range(max(shape))]
    cells = [[centre[j], centre[i]] for i in range(shape[0]) for j in range(shape[1])]
    cells = torch.tensor(cells, dtype=points.dtype)
    return (cells[:, None] - points).square().sum(2) / scale**2


def dense_steps(density, g, cost, rho, epsilon):
    """Potential of the cells for that of the points, and the next of the points."""
    a = density.flatten()[:, None]
    m = cost.shape[1]
    sums = torch.logsumexp((g - cost) / epsilon, 1) - np.log(m)
    f = (-epsilon * sums).clamp(-rho, rho)
    sums = torch.logsumexp((f[:, None] - cost) / epsilon + a.log(), 0) - np.log(m)
    return f, (-epsilon * sums).clamp(-rho, rho)


def dense_plan(density, f, g, cost, epsilon):
    return density.flatten()[:, None] / len(g) * ((f[:, None] + g - cost) / epsilon).exp()


def primal(density, cost, rho, epsilon, plan):
    a = density.flatten()
    reference = (a[:, None] / plan.shape[1]).expand_as(plan)
    kl = torch.xlogy(plan, plan / reference).sum() - plan.sum() + reference.sum()
    marginals = (plan.sum(1) - a).abs().sum() + (plan.sum(0) - 1).abs().sum()
    return (plan * cost).sum() + rho * marginals + epsilon * kl


def linear_program(density, cost, rho):
    """Exact unbalanced transport, without entropy: its value and a plan."""
    n, m = cost.shape
    a = density.flatten().numpy()
    rows = np.kron(np.eye(n), np.ones((1, m)))
    columns = np.kron(np.ones((1, n)), np.eye(m))
    # the plan, and mass too much and too little at each cell and each point
    plan = np.vstack((rows, columns))
    slack = np.eye(n + m)
    result = linprog(
        np.concatenate((cost.numpy().flatten(), np.full(2 * (n + m), rho))),
        A_eq=np.hstack((plan, -slack, slack)),
        b_eq=np.concatenate((a, np.ones(m))),
    )
    assert result.success
    return result.fun, torch.from_numpy(result.x[: n * m].reshape(n, m))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 12),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    total=st.sampled_from([0.1, 4.3, 50.0]),
    rho=st.sampled_from([0.5, 1.0, 2.0]),
    epsilon=st.sampled_from([0.1, 0.5]),
)
def test_dense_formula(seed, m, shape, total, rho, epsilon):
    density, points = random_image(m, shape, 8, total, seed)
    cost = dense_cost(points, shape, 8)
    kernel = gaussian_kernel(points, shape, 8, epsilon * 32**2)
    f, g, share = uot_potentials(density, kernel, rho, epsilon, 300)
    expected_f, expected_g = dense_steps(density, g, cost, rho, epsilon)
    torch.testing.assert_close(f.flatten(), expected_f, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(g, expected_g, rtol=0, atol=1e-4)  # a fixed point
    plan = dense_plan(density, f.flatten(), g, cost, epsilon)
    expected = plan.sum(1).view(shape) / density
    torch.testing.assert_close(share, expected, rtol=1e-7, atol=1e-9)

    loss = UOTLoss(rho=rho, epsilon=epsilon, iterations=300)
    terms, grad = value_and_grad(loss, density[None, None], [points], 8)
    a = density.clone().requires_grad_()
    plan = dense_plan(a, f.flatten(), g, cost, epsilon)
    expected = (a * f).sum() + g.sum() - epsilon * (plan.sum() - a.sum())
    expected.backward()
    torch.testing.assert_close(terms['loss_uot'], expected.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(grad[0, 0], a.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(('m', 'total'), [(1, 1.1), (40, 30.0), (40, 40.0), (40, 50.0)])
def test_no_duality_gap(m, total):
    # A density of spots near the points, with a wrong mass here and there.
    _, points = random_image(m, (32, 32), 8)
    rng = torch.Generator().manual_seed(2)
    spots = points + 4 * torch.randn(m, 2, generator=rng, dtype=torch.float64)
    mass = 0.8 + 0.4 * torch.rand(m, generator=rng, dtype=torch.float64)
    density = gaussian_kernel(spots, (32, 32), 8, 128.0).to_cells(mass) + 1e-6
    density = density * total / density.sum()
    cost = dense_cost(points, density.shape, 8)
    kernel = gaussian_kernel(points, (32, 32), 8, 0.05 * 32**2)
    f, g, _ = uot_potentials(density, kernel, 1.0, 0.05, 100)
    plan = dense_plan(density, f.flatten(), g, cost, 0.05)
    best = primal(density, cost, 1.0, 0.05, plan).item()
    value = uot_loss(density, points, 8, **OPTIONS).item()
    assert value <= best + 1e-9
    assert value == pytest.approx(best, rel=1e-2)


@pytest.mark.parametrize('total', [2.0, 5.0, 9.0])
def test_small_epsilon_reaches_the_linear_program(total):
    density, points = random_image(4, (4, 5), 8, total)
    cost = dense_cost(points, density.shape, 8, 16.0)
    exact, plan = linear_program(density, cost, rho=1.0)
    for epsilon, iterations in ((0.1, 300), (0.005, 3000)):
        value = uot_loss(density, points, 8, 16.0, 1.0, epsilon, iterations).item()
        # the entropy is not negative, and that of the exact plan bounds it
        entropy = primal(density, cost, 1.0, epsilon, plan).item() - exact
        assert exact - 1e-6 <= value <= exact + entropy + 1e-6
    assert entropy < 0.03 * exact


def test_no_plan_of_pot_is_better():
    ot = pytest.importorskip('ot')
    density, points = random_image(3, (4, 5), 8, 4.0)
    density = density + 1e-3
    cost = dense_cost(points, density.shape, 8)
    value = uot_loss(density, points, 8, 32.0, 1.0, 0.1, 500).item()
    plan = ot.unbalanced.lbfgsb_unbalanced(
        density.flatten().numpy(),
        np.ones(3),
        cost.numpy(),
        reg=0.1,
        reg_m=1.0,
        c=(density.flatten()[:, None] / 3).expand(-1, 3).numpy(),
        reg_div='kl',
        regm_div='tv',
        numItermax=5000,
    )
    best = primal(density, cost, 1.0, 0.1, torch.from_numpy(plan)).item()
    assert value - 1e-6 <= best
    assert best == pytest.approx(value, rel=0.05)  # it stops at kinks


# not 5, the number of points, where the value has a kink
@pytest.mark.parametrize('total', [2.0, 4.5, 9.0])
def test_gradient_is_the_slope_of_the_value(total):
    density, points = random_image(total=total)
    rng = torch.Generator().manual_seed(1)
    direction = torch.rand(density.shape, generator=rng, dtype=torch.float64) * density
    density.requires_grad_()

    def value(a):
        return uot_loss(a, points, 8, 32.0, 1.0, 0.1, 500)

    value(density).backward()
    slope = (density.grad * direction).sum().item()
    step = 1e-4
    ahead, behind = (value(density.detach() + sign * step * direction) for sign in (1, -1))
    assert slope == pytest.approx((ahead - behind).item() / (2 * step), rel=1e-4)


@pytest.mark.parametrize('mass', [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize('distance', [0.0, 16.0, 100.0])
def test_one_cell_and_one_point(mass, distance):
    # Mass up to 1 moves at its cost, unless that is 2 rho or more; the rest costs rho.
    density = torch.tensor([[mass]], dtype=torch.float64)
    points = torch.tensor([[distance, 0.0]], dtype=torch.float64)
    value = uot_loss(density, points, 1, **OPTIONS).item()
    cost = (distance / 32) ** 2
    if cost > 2:
        expected = mass + 1 + 0.05 * mass  # the plan is empty, and KL(0 | a) = mass
        assert value == pytest.approx(expected)
    elif mass <= 1:
        assert value == pytest.approx(mass * cost + 1 - mass)
    elif cost == 0:  # may as well pile up on the point
        assert value == pytest.approx(mass - 1)
    else:
        entropy = mass - 1 - np.log(mass)
        assert value == pytest.approx(cost + mass - 1 + 0.05 * entropy)


def test_image_without_points():
    density = torch.arange(6.0).view(1, 1, 2, 3)
    terms, grad = value_and_grad(UOTLoss(rho=2, epsilon=0.1), density, [torch.zeros(0, 2)], 8)
    assert terms['loss_uot'].item() == pytest.approx(30)
    assert (grad == 2).all()


def test_image_without_density():
    # Each point costs rho, and draws mass from within the scale.
    density = torch.zeros(1, 1, 1, 9)
    points = [torch.tensor([[0.0, 0.0]])]
    terms, grad = value_and_grad(UOTLoss(), density, points, 8)
    assert terms['loss_uot'].item() == pytest.approx(1)
    distance = torch.arange(9) * 8 + 3.5
    assert ((grad.flatten() < 0) == (distance**2 + 3.5**2 < 32**2)).all()


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_gradients_of_the_hard_batch_are_bounded(dtype):
    grads = check_hard_batch(UOTLoss(), dtype)
    assert (grads >= -1 - 1e-5).all()
    assert (grads <= 1.05 + 1e-5).all()


@pytest.mark.parametrize('total', [1e-3, 40.0, 200.0])
def test_least_epsilon_suits_float32(total):
    density, points = random_image(40, (32, 48), 8, total)
    loss = UOTLoss(epsilon=1 / 30)
    exact = value_and_grad(loss, density[None, None], [points], 8)
    single = value_and_grad(loss, density[None, None].float(), [points], 8)
    torch.testing.assert_close(single[1].double(), exact[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        single[0]['loss_uot'].double(), exact[0]['loss_uot'], rtol=1e-4, atol=0
    )


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        (dict(scale=0), 'UOTLoss: scale must be positive, but got 0'),
        (dict(rho=-1), 'UOTLoss: rho must be positive, but got -1'),
        (dict(rho=3, epsilon=0.05), 'epsilon must be at least rho / 30 = 0.1, but got 0.05'),
        (dict(iterations=0), 'iterations must be at least 1, but got 0'),
    ],
)
def test_bad_arguments(argument, message):
    with pytest.raises(ValueError, match=message):
        UOTLoss(**argument)
