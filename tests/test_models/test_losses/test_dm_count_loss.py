import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.dm_count_loss import (
    GUARD,
    DMCountLoss,
    cell_potential,
    dm_count_loss,
)
from mmcrowd.ops.grid import gaussian_kernel, points_per_cell
from tests.testing.losses import value_and_grad


def random_image(m=5, shape=(6, 8), stride=4, total=4.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    frame = torch.tensor([shape[1], shape[0]]) * stride
    points = torch.rand(m, 2, generator=rng, dtype=torch.float64) * frame - 0.5
    density = torch.rand(shape, generator=rng, dtype=torch.float64) + 0.01
    return density * total / density.sum(), points


def squared_distances(points, shape, stride):
    """``(m, h * w)``, cell by cell."""
    centre = [k * stride + (stride - 1) / 2 for k in range(max(shape))]
    cells = [[centre[j], centre[i]] for i in range(shape[0]) for j in range(shape[1])]
    cells = torch.tensor(cells, dtype=points.dtype)
    return (points[:, None] - cells).square().sum(2)


def dense_potential(share, cost, reg, iterations):
    """Potential of the cells and plan, with the kernel written out."""
    kernel = torch.exp(-cost / reg)
    m = len(cost)
    u = share.new_full((m,), 1 / m)
    for _ in range(iterations):
        v = share / (kernel.T @ u + GUARD)
        u = (1 / m) / (kernel @ v + GUARD)
    return reg * (v + GUARD).log(), u[:, None] * kernel * v


def ot_grad(density, points, stride, reg, iterations):
    density = density.clone().requires_grad_()
    dm_count_loss(density, points, stride, reg, iterations)[1].backward()
    return density.grad


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('k', range(3))
def test_golden(golden_root, k, dtype):
    with np.load(golden_root / 'other_losses.npz') as golden:
        prefix = f'dm_count/{k}/'
        case = {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}
    density = torch.from_numpy(case['density']).to(dtype)
    points = torch.from_numpy(case['points_xy']).to(dtype) - 0.5
    stride, reg, iterations = int(case['stride']), float(case['reg']), int(case['iterations'])
    loss = DMCountLoss(reg=reg, iterations=iterations)
    terms, grad = value_and_grad(loss, density[None, None], [points], stride)
    assert terms['loss_count'].item() == pytest.approx(case['count'].item(), rel=1e-4)
    assert terms['loss_tv'].item() == pytest.approx(0.01 * case['tv'].item(), rel=1e-4)
    assert terms['loss_ot'].item() == pytest.approx(0, abs=1e-4)
    assert sum(terms.values()).item() == pytest.approx(case['total'].item(), rel=1e-3)
    expected = torch.from_numpy(case['grad']).to(dtype)
    atol = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(grad[0, 0], expected, rtol=0, atol=atol)

    share = density / density.sum()
    kernel = gaussian_kernel(points, tuple(density.shape), stride, reg)
    potential = cell_potential(share, kernel, reg, iterations)
    objective = (share * potential).sum().item()
    assert objective == pytest.approx(case['ot_objective'].item(), rel=1e-3)
    cost = squared_distances(points.double(), density.shape, stride)
    plan = dense_potential(share.double().flatten(), cost, reg, iterations)[1]
    assert (plan * cost).sum().item() == pytest.approx(case['wasserstein'].item(), rel=1e-3)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 12),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.sampled_from([1, 2, 8]),
    reg=st.sampled_from([1.0, 10.0, 100.0]),
    iterations=st.sampled_from([1, 2, 30]),
)
def test_dense_formula(seed, m, shape, stride, reg, iterations):
    density, points = random_image(m, shape, stride, total=m + 0.5, seed=seed)
    loss = DMCountLoss(ot_weight=2, tv_weight=3, reg=reg, iterations=iterations)
    terms, grad = value_and_grad(loss, density[None, None], [points], stride)

    cost = squared_distances(points, shape, stride)
    target = torch.zeros(shape, dtype=torch.float64)
    for x, y in points:
        target[int((y + 0.5) // stride), int((x + 0.5) // stride)] += 1
    a = density.clone().requires_grad_()
    total = a.sum()
    beta = dense_potential((density / density.sum()).flatten(), cost, reg, iterations)[0]
    beta = beta.view(shape)
    tv = m * (a / total - target / m).abs().sum()
    ot = beta / density.sum() - (beta * density).sum() / density.sum() ** 2
    ((total - m).abs() + 3 * tv).backward()
    assert terms['loss_count'].item() == pytest.approx(0.5)
    assert terms['loss_tv'].item() == pytest.approx(3 * tv.item(), abs=1e-6)
    assert abs(terms['loss_ot'].item()) < 1e-6
    expected = a.grad + 2 * ot
    # 1e-8 of the gradient is from the floor below a dead density
    torch.testing.assert_close(grad[0, 0], expected, rtol=1e-7, atol=1e-7 * reg)


def test_same_steps_as_pot():
    ot = pytest.importorskip('ot')
    density, points = random_image()
    cost = squared_distances(points, density.shape, 4)
    share = density / density.sum()
    uniform = np.full(len(points), 1 / len(points))
    for iterations in (1, 7, 100):
        _, log = ot.sinkhorn(
            uniform,
            share.flatten().numpy(),
            cost.numpy(),
            reg=200.0,
            numItermax=iterations,
            stopThr=0,
            warn=False,
            log=True,
        )
        kernel = gaussian_kernel(points, tuple(density.shape), 4, 200.0)
        potential = cell_potential(share, kernel, 200.0, iterations)
        expected = 200.0 * np.log(log['v'])
        np.testing.assert_allclose(potential.flatten(), expected, rtol=1e-9, atol=1e-9)


def test_gradient_is_that_of_the_transport_cost():
    ot = pytest.importorskip('ot')
    reg, step = 200.0, 1e-4
    density, points = random_image(total=5.0)
    cost = squared_distances(points, density.shape, 4).numpy()
    uniform = np.full(len(points), 1 / len(points))
    rng = torch.Generator().manual_seed(1)
    direction = torch.rand(density.shape, generator=rng, dtype=torch.float64) - 0.5

    def transport(a):
        share = (a / a.sum()).flatten().numpy()
        plan = ot.sinkhorn(uniform, share, cost, reg, numItermax=20000, stopThr=1e-14)
        return (plan * cost).sum() + reg * (plan * np.log(plan)).sum()

    ahead, behind = (transport(density + sign * step * direction) for sign in (1, -1))
    grad = ot_grad(density, points, 4, reg, 5000)
    slope = (grad * direction).sum().item()
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5)


def test_small_reg_reaches_the_exact_transport():
    ot = pytest.importorskip('ot')
    density, points = random_image(3, (3, 3), 1, 1.0)
    cost = squared_distances(points, density.shape, 1)
    uniform = np.full(len(points), 1 / len(points))
    exact = ot.emd2(uniform, density.flatten().numpy(), cost.numpy())
    excess = []
    for reg in (1.0, 0.5, 0.25):
        kernel = gaussian_kernel(points, (3, 3), 1, reg)
        potential = cell_potential(density, kernel, reg, 2000)
        v = (potential / reg).exp()
        u = (1 / 3) / kernel.to_points(v)
        plan = u[:, None] * torch.exp(-cost / reg) * v.flatten()
        torch.testing.assert_close(plan.sum(0), density.flatten(), rtol=1e-5, atol=0)
        excess.append((plan * cost).sum().item() / exact - 1)
    assert excess[0] > excess[1] > excess[2] > 0
    assert excess[2] < 0.1


def test_one_point_draws_every_cell():
    # Then W = c'a / |a| (Lin, Wan, Chan, ICLR 2025, eq. 19), and its entropy that of a / |a|.
    density, points = random_image(1, (4, 5), 2, 1.7)
    cost = squared_distances(points, density.shape, 2).view(density.shape)
    grad = ot_grad(density, points, 2, 10.0, 100)
    a = density.clone().requires_grad_()
    share = a / a.sum()
    ((cost * a).sum() / a.sum() + 10 * (share * share.log()).sum()).backward()
    torch.testing.assert_close(grad, a.grad, rtol=1e-6, atol=1e-6)


def test_far_cells_are_not_drawn():
    # The published guard: beyond its range only the density of a cell counts, not its distance.
    density = torch.full((1, 64), 1 / 64, dtype=torch.float64)
    grad = ot_grad(density, torch.tensor([[0.0, 0.0]], dtype=torch.float64), 4, 10.0, 100)
    assert (grad[0, :5].diff() > 0).all()
    assert (grad[0, 16:].diff().abs() < 1e-6).all()


def test_points_per_cell_by_hand():
    # Two cells of two pixels: centres of pixels at 0, 1 | 2, 3.
    points = torch.tensor([[0.0, 0.0], [1.4, 1.0], [1.6, 0.0], [1e9, -5.0], [-3e30, 7.0]])
    assert points_per_cell(points, (1, 2), 2).tolist() == [[3, 2]]


def test_tv_by_hand():
    density = torch.tensor([[[[1.0, 3.0]]]])
    points = [torch.tensor([[0.0, 0.0], [1.6, 0.0], [9.0, 0.0]])]
    terms, _ = value_and_grad(DMCountLoss(ot_weight=0), density, points, 2)
    # 3 * (1/4, 3/4) against (1, 2)
    assert terms['loss_tv'].item() == pytest.approx(0.01 * 0.5)
    assert terms['loss_count'].item() == pytest.approx(1)


def test_image_without_points():
    density = torch.arange(6.0).view(1, 1, 2, 3)
    terms, grad = value_and_grad(DMCountLoss(), density, [torch.zeros(0, 2)], 4)
    assert {key: value.item() for key, value in terms.items()} == dict(
        loss_count=15, loss_ot=0, loss_tv=0
    )
    assert (grad == 1).all()


def test_image_without_density():
    density, points = random_image()
    terms, grad = value_and_grad(DMCountLoss(), 0 * density[None, None], [points], 4)
    assert {key: value.item() for key, value in terms.items()} == dict(
        loss_count=5, loss_ot=0, loss_tv=0
    )
    assert (grad == -1).all()


def test_float32_agrees_with_float64():
    # a large frame, where most of the kernel underflows
    density, points = random_image(40, (32, 48), 8, 40.0)
    exact = value_and_grad(DMCountLoss(), density[None, None], [points], 8)
    single = value_and_grad(DMCountLoss(), density[None, None].float(), [points], 8)
    atol = 1e-4 * float(exact[1].abs().max())
    torch.testing.assert_close(single[1].double(), exact[1], rtol=0, atol=atol)


def test_bad_arguments():
    with pytest.raises(ValueError, match='DMCountLoss: reg must be positive, but got 0'):
        DMCountLoss(reg=0)
    with pytest.raises(ValueError, match='iterations must be at least 1, but got 0'):
        DMCountLoss(iterations=0)
