import geomloss
import numpy as np
import pytest
import torch

from mmcrowd.models.losses import tiled_sinkhorn
from mmcrowd.models.losses.generalized_loss import (
    SCALES,
    GeneralizedLoss,
    transport_potentials,
    unit_points,
)
from mmcrowd.models.losses.tiled_sinkhorn import TiledCosts, log_plan_factors, softmins
from tests.testing.losses import value_and_grad


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

    points = unit_points(points, tuple(density.shape), stride)
    costs, f, g = transport_potentials(
        density, points, 'perspective', blur=0.01, scaling=0.5, reach=0.5
    )
    mass = density.flatten()
    plan = mass.new_zeros(len(mass) + 1, len(points))
    for cell, point, log_factor in log_plan_factors(costs, mass.log(), f, g, 0.01):
        plan[cell[:, :, None], point[:, None]] = log_factor.exp()
    plan = mass[:, None] * plan[:-1]
    expected = torch.from_numpy(case['plan']).to(dtype)
    torch.testing.assert_close(plan, expected, rtol=0, atol=1e-4 * float(expected.max()))


def dense_costs(cost, density, points, stride):
    """Costs ``(n, m)``, and the places of cells and points."""
    h, w = density.shape
    side = max(h, w) * stride
    cells = [[j * stride + stride / 2, i * stride + stride / 2] for i in range(h) for j in range(w)]
    x = torch.tensor(cells, dtype=points.dtype) / side
    frame = torch.tensor([w, h]) * stride
    y = (points + 0.5).clamp(min=0).minimum(frame.to(points)) / side
    scale = 0.6
    if cost == 'perspective':
        scale = 0.2 * (x[:, None, 1] + y[:, 1]) / 2 + 0.5
    return ((x[:, None] - y).square().sum(2).sqrt() / scale).exp() - 1, x, y


def by_geomloss(density, points, stride, cost, blur, scaling, reach, weight):
    """The terms of the loss and the gradient by geomloss and dense matrices, in float64."""
    density, points = density.double(), points.double()
    matrix, x, y = dense_costs(cost, density, points, stride)
    arguments = dict(
        p=1, blur=blur, scaling=scaling, reach=reach, debias=False, backend='tensorized'
    )
    if density.numel() == 1:
        arguments['diameter'] = 1.0

    def matrix_for(left, right):
        return (matrix if left.shape[1] == len(x) and right.shape[1] == len(y) else matrix.T)[None]

    ones = torch.ones_like(y[:, 0])
    a = density.flatten().requires_grad_()
    ot = geomloss.SamplesLoss('sinkhorn', cost=matrix_for, **arguments)(a, x, ones, y)
    potentials = geomloss.SamplesLoss('sinkhorn', cost=matrix_for, potentials=True, **arguments)
    f, g = (p.detach().flatten() for p in potentials(a, x, ones, y))
    plan = a[:, None] * ((f[:, None] + g - matrix) / blur).exp()
    pixel = ((plan.sum(1).detach() - a) ** 2).sum()
    point = (plan.sum(0) - 1).abs().sum()
    entropy = torch.xlogy(plan, plan).mean()
    terms = dict(ot=ot, pixel=weight * pixel, point=weight * point, entropy=blur * entropy)
    sum(terms.values()).backward()
    return {f'loss_{key}': value.detach() for key, value in terms.items()}, a.grad


@pytest.fixture
def many_parts(monkeypatch):
    """Small maps are worked on in as many parts as large ones, and tiles are split."""
    monkeypatch.setattr(tiled_sinkhorn, 'TILES', 4)
    monkeypatch.setattr(tiled_sinkhorn, 'CHUNK', 2**9)
    monkeypatch.setattr(tiled_sinkhorn, 'TILE_CHUNK', 2**8)
    monkeypatch.setattr(tiled_sinkhorn, 'SPREAD', {torch.float32: 20.0, torch.float64: 20.0})


@pytest.mark.parametrize(
    'm, shape, crowded',
    [(5, (6, 8), 1), (5, (8, 3), 1), (5, (1, 1), 1), (1, (24, 16), 1), (40, (21, 30), 0.2)],
)
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('cost', SCALES)
def test_geomloss(many_parts, cost, dtype, m, shape, crowded):
    density, points = random_image(m, shape)
    density, points = density.to(dtype), (crowded * points).to(dtype)
    options = dict(cost=cost, blur=0.02, scaling=0.6, reach=0.7)
    expected, slopes = by_geomloss(density, points, 8, weight=0.3, **options)
    loss = GeneralizedLoss(marginal_weight=0.3, **options)
    terms, grad = value_and_grad(loss, density[None, None], [points], 8)
    tolerance = 1e-4 if dtype == torch.float64 else 5e-4
    for key, value in expected.items():
        assert terms[key].item() == pytest.approx(value.item(), rel=tolerance, abs=1e-6)
    atol = tolerance * float(slopes.abs().max())
    torch.testing.assert_close(grad.flatten().double(), slopes, rtol=0, atol=atol)


@pytest.mark.parametrize('epsilon', [0.01, 0.05, 1.0])
@pytest.mark.parametrize('cost', SCALES)
def test_softmins_are_the_dense_ones(many_parts, cost, epsilon):
    density, points = random_image(30, (21, 30))
    matrix, _, y = dense_costs(cost, density, points, 8)
    tolerance = 1e-5
    costs = TiledCosts((21, 30), y, SCALES[cost], tolerance)
    rng = torch.Generator().manual_seed(1)
    f, g = (torch.randn(n, generator=rng, dtype=torch.float64) / 10 for n in matrix.shape)
    log_mass = density.flatten().log()
    new_f, new_g = softmins(costs, log_mass, f, g, epsilon)
    expected = -epsilon * ((g - matrix) / epsilon).logsumexp(1)
    torch.testing.assert_close(new_f, expected, rtol=0, atol=tolerance)
    expected = -epsilon * ((f[:, None] - matrix) / epsilon + log_mass[:, None]).logsumexp(0)
    torch.testing.assert_close(new_g, expected, rtol=0, atol=tolerance)

    # the less entropy, the fewer pairs
    f = torch.cat((f + epsilon * log_mass, f.new_tensor([-torch.inf])))
    listed = list(costs.listed(f, g, epsilon))
    cells = torch.cat([tiles.cell.flatten() for tiles, _ in listed])
    assert torch.equal(cells[cells < 630].sort().values, torch.arange(630))
    share = sum(keep.sum() * tiles.side**2 for tiles, keep in listed) / matrix.numel()
    assert share < 0.3 if epsilon == 0.01 else share > 0.5


def test_bounds_hold_the_costs():
    density, points = random_image(7, (19, 40))
    for cost in SCALES:
        matrix, _, y = dense_costs(cost, density, points, 8)
        matrix = torch.cat((matrix, matrix.new_full((1, 7), torch.nan)))
        for tiles in TiledCosts((19, 40), y, SCALES[cost], 1e-5).tiles:
            assert tiles.side == 2
            inside = matrix[tiles.cell]
            assert not (inside < tiles.least[:, None] - 1e-12).any()
            assert not (inside > tiles.most[:, None] + 1e-12).any()


def test_unit_points_by_hand():
    # a frame of 8 x 4 pixels
    points = torch.tensor([[-0.5, -0.5], [3.5, 1.5], [-1e7, 1.5], [9.0, 1e7]])
    expected = torch.tensor([[0.0, 0.0], [0.5, 0.25], [0.0, 0.25], [1.0, 0.5]])
    torch.testing.assert_close(unit_points(points, (1, 2), 4), expected)


def test_scales_by_hand():
    cell, point = torch.tensor([[0.0], [0.8]]), torch.tensor([0.4, 1.0])
    scale = SCALES['perspective'](cell, point)
    torch.testing.assert_close(scale, torch.tensor([[0.54, 0.6], [0.62, 0.68]]))
    assert (SCALES['exp'](cell, point) == 0.6).all()


@pytest.mark.parametrize('cost', SCALES)
@pytest.mark.parametrize('seed', range(3))
def test_mass_goes_to_the_nearest_point(cost, seed):
    # Lin, Wan, Chan, ICLR 2025, appendix G: no entropy, all mass has to move, and the points take
    # any mass. So g = 0, and f follows from the marginal of the cells.
    density, points = random_image(4, (3, 4), seed=seed)
    matrix, x, y = dense_costs(cost, density, points, 8)
    costs, blur = TiledCosts((3, 4), y, SCALES[cost], 1e-9), 1e-6
    log_mass, g = density.flatten().log(), torch.zeros_like(y[:, 0])
    f, _ = softmins(costs, log_mass, log_mass, g, blur)
    factors = torch.zeros_like(matrix)
    for cell, point, log_factor in log_plan_factors(costs, log_mass, f, g, blur):
        factors[cell[:, :, None], point[:, None]] = log_factor.exp()
    expected = torch.zeros_like(matrix)
    for i, row in enumerate(matrix.tolist()):
        expected[i, row.index(min(row))] = 1
    torch.testing.assert_close(factors, expected)
    if cost == 'exp':  # it rises with the distance alone
        assert torch.equal(factors.argmax(1), torch.cdist(x, y).argmin(1))


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
