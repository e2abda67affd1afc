import sys

import numpy as np
import pytest
import torch

from mmcrowd.models.losses.generalized_loss import (
    COSTS,
    GeneralizedLoss,
    log_plan_factor,
    transport_potentials,
    unit_coordinates,
)
from tests.testing.losses import value_and_grad

geomloss = pytest.importorskip('geomloss')


def random_image(m=5, shape=(6, 8), stride=8, total=4.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    frame = torch.tensor([shape[1], shape[0]]) * stride
    points = torch.rand(m, 2, generator=rng, dtype=torch.float64) * frame - 0.5
    density = torch.rand(shape, generator=rng, dtype=torch.float64) + 0.01
    return density * total / density.sum(), points


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('k', range(3))
def test_golden(golden_root, k, dtype):
    with np.load(golden_root / 'other_losses.npz') as golden:
        prefix = f'generalized/{k}/'
        case = {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}
    density = torch.from_numpy(case['density']).to(dtype)
    points = torch.from_numpy(case['points_xy']).to(dtype) - 0.5
    stride = int(case['stride'])
    assert max(density.shape) * stride == case['crop_size']
    terms, grad = value_and_grad(GeneralizedLoss(), density[None, None], [points], stride)
    for key, name, weight in (
        ('loss_ot', 'emd', 1),
        ('loss_pixel', 'pixel', 0.1),
        ('loss_point', 'point', 0.1),
        ('loss_entropy', 'entropy', 0.01),
    ):
        assert terms[key].item() == pytest.approx(weight * case[name].item(), rel=1e-4)
    assert sum(terms.values()).item() == pytest.approx(case['total'].item(), rel=1e-4)
    expected = torch.from_numpy(case['grad']).to(dtype)
    atol = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(grad[0, 0], expected, rtol=0, atol=atol)

    cells, points = unit_coordinates(points, tuple(density.shape), stride)
    f, g = transport_potentials(
        density.flatten(), cells, points, 'perspective', blur=0.01, scaling=0.5, reach=0.5
    )
    factor = log_plan_factor(f, g, COSTS['perspective'](cells, points), 0.01).exp()
    expected = torch.from_numpy(case['plan']).to(dtype)
    plan = density.flatten()[:, None] * factor
    torch.testing.assert_close(plan, expected, rtol=0, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize('shape', [(6, 8), (8, 3), (1, 1)])
@pytest.mark.parametrize('cost', COSTS)
def test_dense_formula(cost, shape):
    density, points = random_image(shape=shape)
    blur, reach, weight = 0.02, 0.7, 0.3
    loss = GeneralizedLoss(cost, blur, 0.6, reach, weight)
    terms, grad = value_and_grad(loss, density[None, None], [points], 8)

    side = max(shape) * 8
    cells = [[j * 8 + 4, i * 8 + 4] for i in range(shape[0]) for j in range(shape[1])]
    x = torch.tensor(cells, dtype=torch.float64) / side
    y = (points + 0.5) / side
    distance = (x[:, None] - y).square().sum(2).sqrt()
    scale = 0.6
    if cost == 'perspective':
        scale = 0.2 * (x[:, None, 1] + y[:, 1]) / 2 + 0.5
    matrix = (distance / scale).exp() - 1
    arguments = dict(p=1, blur=blur, scaling=0.6, reach=reach, debias=False, backend='tensorized')
    if shape == (1, 1):
        arguments['diameter'] = 1.0

    def matrix_for(left, right):
        return (matrix if left.shape[1] == len(x) and right.shape[1] == 5 else matrix.T)[None]

    ones = torch.ones(5, dtype=torch.float64)
    a = density.flatten().requires_grad_()
    sinkhorn = geomloss.SamplesLoss('sinkhorn', cost=matrix_for, **arguments)
    ot = sinkhorn(a, x, ones, y)
    potentials = geomloss.SamplesLoss('sinkhorn', cost=matrix_for, potentials=True, **arguments)
    f, g = (p.detach().flatten() for p in potentials(a, x, ones, y))
    plan = a[:, None] * ((f[:, None] + g - matrix) / blur).exp()
    pixel = ((plan.sum(1).detach() - a) ** 2).sum()
    point = (plan.sum(0) - 1).abs().sum()
    entropy = torch.xlogy(plan, plan).mean()
    (ot + weight * (pixel + point) + blur * entropy).backward()
    assert terms['loss_ot'].item() == pytest.approx(ot.item())
    assert terms['loss_pixel'].item() == pytest.approx(weight * pixel.item())
    assert terms['loss_point'].item() == pytest.approx(weight * point.item())
    assert terms['loss_entropy'].item() == pytest.approx(blur * entropy.item())
    torch.testing.assert_close(grad[0, 0].flatten(), a.grad, rtol=1e-6, atol=1e-9)


def test_unit_coordinates_by_hand():
    # a frame of 8 x 4 pixels
    points = torch.tensor([[-0.5, -0.5], [3.5, 1.5], [-1e7, 1.5], [9.0, 1e7]])
    cells, points = unit_coordinates(points, (1, 2), 4)
    torch.testing.assert_close(cells, torch.tensor([[0.25, 0.25], [0.75, 0.25]]))
    expected = torch.tensor([[0.0, 0.0], [0.5, 0.25], [0.0, 0.25], [1.0, 0.5]])
    torch.testing.assert_close(points, expected)


def test_costs_by_hand():
    x = torch.tensor([[0.0, 0.0], [0.3, 0.4]], dtype=torch.float64)
    y = torch.tensor([[0.3, 0.4]], dtype=torch.float64)
    cost = COSTS['exp'](x, y)
    assert cost.flatten().tolist() == pytest.approx([np.exp(0.5 / 0.6) - 1, 0])
    cost = COSTS['perspective'](x, y)
    assert cost.flatten().tolist() == pytest.approx([np.exp(0.5 / 0.54) - 1, 0])


@pytest.mark.parametrize('cost', COSTS)
@pytest.mark.parametrize('seed', range(3))
def test_mass_goes_to_the_nearest_point(cost, seed):
    # Lin, Wan, Chan, ICLR 2025, appendix G: no entropy, all mass has to move, and the points take
    # any mass. So g = 0, and f follows from the marginal of the cells.
    density, points = random_image(4, (3, 4), seed=seed)
    cells, points = unit_coordinates(points, (3, 4), 8)
    matrix = COSTS[cost](cells, points)
    blur = 1e-6
    f = -blur * torch.logsumexp(-matrix / blur, 1)
    factor = log_plan_factor(f, torch.zeros(4, dtype=torch.float64), matrix, blur).exp()
    plan = density.flatten()[:, None] * factor
    expected = torch.zeros_like(plan)
    for i, a in enumerate(density.flatten()):
        expected[i, min(range(4), key=lambda j: float(matrix[i, j]))] = a
    torch.testing.assert_close(plan, expected)
    if cost == 'exp':  # it rises with the distance alone
        distance = torch.cdist(cells, points)
        assert torch.equal(plan.argmax(1), distance.argmin(1))


def test_image_without_points():
    density = torch.arange(6.0).view(1, 1, 2, 3)
    terms, grad = value_and_grad(GeneralizedLoss(), density, [torch.zeros(0, 2)], 8)
    assert {key: value.item() for key, value in terms.items()} == dict(
        loss_ot=15, loss_pixel=0, loss_point=0, loss_entropy=0
    )
    assert (grad == 1).all()


def test_image_without_density_asks_for_some():
    density, points = random_image()
    terms, grad = value_and_grad(GeneralizedLoss(), 0 * density[None, None], [points], 8)
    assert all(value.isfinite() for value in terms.values())
    assert terms['loss_point'].item() == pytest.approx(0.1 * 5)
    assert grad.isfinite().all() and grad.min() < -1


@pytest.mark.parametrize('mass', [0.0, 1e-30, 0.5])
def test_one_cell_on_its_point(mass):
    density = torch.full((1, 1, 1, 1), mass)
    terms, grad = value_and_grad(GeneralizedLoss(), density, [torch.tensor([[3.5, 3.5]])], 8)
    assert all(value.isfinite() for value in terms.values())
    assert grad.isfinite().all()


def test_keeps_the_grad_mode():
    density, points = random_image()
    loss = GeneralizedLoss()
    with torch.no_grad():
        terms = loss(density[None, None].requires_grad_(), [points], 8)
        assert not torch.is_grad_enabled()
    assert not any(value.requires_grad for value in terms.values())


def test_names_the_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'geomloss', None)
    with pytest.raises(ImportError, match='needs geomloss.*: pip install geomloss'):
        GeneralizedLoss()


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        (dict(cost='l2'), "cost must be one of .*'perspective', 'exp'.*, but got 'l2'"),
        (dict(blur=0), 'GeneralizedLoss: blur must be positive, but got 0'),
        (dict(reach=-1), 'reach must be positive, but got -1'),
        (dict(scaling=1), 'scaling must be between 0 and 1, but got 1'),
    ],
)
def test_bad_arguments(argument, message):
    with pytest.raises(ValueError, match=message):
        GeneralizedLoss(**argument)
