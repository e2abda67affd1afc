import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.chf_loss import FORMS, CHFLoss, characteristic_error
from tests.testing.losses import (
    random_batch,
    value_and_grad,
)


def dense_error(density, points, stride, bandwidth, steps, tick):
    """chi_a - chi_y as the formula reads: every frequency with every cell and point, complex."""
    h, w = density.shape
    omega = torch.arange(-steps, steps, dtype=torch.float64) * tick
    wy, wx = (v.flatten() for v in torch.meshgrid(omega, omega, indexing='ij'))
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    x, y = ((v.flatten().double() + 0.5) * stride for v in (x, y))
    px, py = points.double().T + 0.5
    predicted = torch.exp(1j * (wx[:, None] * x + wy[:, None] * y)) @ density.flatten().cdouble()
    smooth = torch.exp(-(bandwidth**2) * (wx**2 + wy**2) / 2)
    target = smooth * torch.exp(1j * (wx[:, None] * px + wy[:, None] * py)).sum(1)
    return (predicted - target).view(2 * steps, 2 * steps)


def dense_chf(density, points, stride, form='moduli', bandwidth=8.0, steps=30, tick=0.01):
    error = dense_error(density, points, stride, bandwidth, steps, tick)
    if form == 'moduli':
        return tick**2 * error.abs().sum()
    if form == 'sparse':
        return tick * error.abs().square().sum().sqrt()
    along_x = error.real.square().sum(1).sqrt() + error.imag.square().sum(1).sqrt()
    return tick**2 * along_x.sum()


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('form', ['dense', 'sparse'])
def test_golden(golden_root, form, dtype):
    with np.load(golden_root / 'other_losses.npz') as golden:
        cases = {}
        for key in golden:
            if key.startswith('chf/'):
                _, k, name = key.split('/', 2)
                cases.setdefault(k, {})[name] = golden[key]
    assert len(cases) > 1
    for case in cases.values():
        loss = CHFLoss(form, *(case[key].item() for key in ('bandwidth', 'steps', 'tick')))
        density = torch.from_numpy(case['density']).to(dtype)[None, None]
        # there the centre of the first pixel lies at 0.5
        points = torch.from_numpy(case['points_xy']).to(dtype).reshape(-1, 2) - 0.5
        terms, grad = value_and_grad(loss, density, [points], int(case['stride']))
        for actual, key in ((terms['loss_chf'], 'loss'), (grad.squeeze(), 'grad')):
            expected = torch.as_tensor(case[f'{form}/{key}']).to(dtype)
            atol = 1e-4 * float(expected.abs().max())
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=atol)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.lists(
        # not a whole number: an error of 0 at the frequency 0 has no direction
        st.tuples(st.integers(0, 20), st.sampled_from([0.5, 4.5, 30.5])),
        min_size=1,
        max_size=3,
    ),
    shape=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    stride=st.sampled_from([1, 2, 8]),
    form=st.sampled_from(sorted(FORMS)),
    bandwidth=st.sampled_from([2.0, 8.0]),
    steps=st.sampled_from([1, 7]),
    tick=st.sampled_from([0.01, 0.04]),
)
def test_dense_formula(seed, images, shape, stride, form, bandwidth, steps, tick):
    density, points = random_batch(images, shape, stride, seed)
    loss = CHFLoss(form, bandwidth, steps, tick)
    terms, grad = value_and_grad(loss, density, points, stride)
    density.requires_grad_()
    expected = torch.stack(
        [
            dense_chf(a[0], p, stride, form, bandwidth, steps, tick)
            for a, p in zip(density, points, strict=True)
        ]
    ).mean()
    expected.backward()
    torch.testing.assert_close(terms['loss_chf'], expected.detach(), rtol=1e-9, atol=1e-12)
    # a norm of nearly 0 has no sure direction
    torch.testing.assert_close(grad, density.grad, rtol=1e-6, atol=1e-8)


def test_error_is_indexed_by_y_then_x():
    density, points = random_batch(((5, 3.0),))
    real, imag = characteristic_error(density[0, 0], points[0], 2, 8.0, 4, 0.01)
    expected = dense_error(density[0, 0], points[0], 2, 8.0, 4, 0.01)
    torch.testing.assert_close(torch.complex(real, imag), expected)


@pytest.mark.parametrize(
    ('form', 'expected'), [('moduli', 3 * 60**2 * 0.01**2), ('sparse', 3 * 60 * 0.01)]
)
def test_lone_mass_by_hand(form, expected):
    # Without points; the characteristic function of one mass has its size at every frequency.
    density = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    density[0, 0, 2, 3] = 3
    terms, _ = value_and_grad(CHFLoss(form), density, [torch.zeros(0, 2)], 8)
    assert terms['loss_chf'].item() == pytest.approx(expected)


def test_lone_mass_by_hand_dense():
    # Two frequencies, -1 and 0, and one cell with its centre at (1, 1) from the corner.
    density = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    terms, _ = value_and_grad(CHFLoss('dense', steps=1, tick=1.0), density, [torch.zeros(0, 2)], 2)
    real = math.hypot(math.cos(2), math.cos(1)) + math.hypot(math.cos(1), 1)
    imag = math.hypot(math.sin(2), math.sin(1)) + math.sin(1)
    assert terms['loss_chf'].item() == pytest.approx(2 * (real + imag))


@pytest.mark.parametrize('form', FORMS)
def test_no_error_has_no_gradient(form):
    terms, grad = value_and_grad(CHFLoss(form), torch.zeros(1, 1, 3, 4), [torch.zeros(0, 2)])
    assert terms['loss_chf'] == 0
    assert (grad == 0).all()


@pytest.mark.parametrize('form', FORMS)
def test_well_smoothed_density_costs_almost_nothing(form):
    # Gaussians of the bandwidth, cut into cells much smaller than they are.
    points = torch.tensor([[100.2, 90.7], [130.0, 60.3]], dtype=torch.float64)
    cell = torch.arange(100, dtype=torch.float64) * 2 + 0.5
    gauss = torch.exp(-((cell - points[..., None]) ** 2) / 128)
    gauss = gauss / gauss.sum(-1, keepdim=True)
    density = (gauss[:, 1].T @ gauss[:, 0])[None, None]
    loss = CHFLoss(form)
    matched, _ = value_and_grad(loss, density, [points], 2)
    shifted, _ = value_and_grad(loss, density, [points + 4], 2)
    assert matched['loss_chf'] < 1e-6 < shifted['loss_chf']


@pytest.mark.parametrize('form', ['moduli', 'sparse'])
def test_place_of_the_origin_does_not_matter(form):
    density, points = random_batch(((6, 4.0),))
    moved = torch.nn.functional.pad(density, (3, 0, 5, 0))
    moved_points = [points[0] + 2 * torch.tensor([3.0, 5.0])]
    here, grad = value_and_grad(CHFLoss(form), density, points)
    there, moved_grad = value_and_grad(CHFLoss(form), moved, moved_points)
    torch.testing.assert_close(there, here)
    torch.testing.assert_close(moved_grad[..., 5:, 3:], grad)


@pytest.mark.parametrize('form', FORMS)
def test_float32_phases_of_far_points(form):
    # Coordinates that float32 holds exactly, but not times a frequency.
    density, _ = random_batch(((0, 6.0),))
    points = torch.tensor([[1000003.0, -4000005.0], [8191.5, 77.25], [3.0, 9999991.0]])
    single = value_and_grad(CHFLoss(form), density.float(), [points])
    double = value_and_grad(CHFLoss(form), density, [points.double()])
    torch.testing.assert_close(
        single[0]['loss_chf'].double(), double[0]['loss_chf'], rtol=1e-5, atol=0
    )
    atol = 1e-5 * float(double[1].abs().max())
    torch.testing.assert_close(single[1].double(), double[1], rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(form='l1'), "form must be one of .*'moduli', 'sparse', 'dense'.*'l1'"),
        (dict(bandwidth=0), 'bandwidth must be positive, but got 0'),
        (dict(tick=-0.01), 'tick must be positive, but got -0.01'),
        (dict(steps=0), 'steps must be at least 1, but got 0'),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=f'CHFLoss: {match}'):
        CHFLoss(**kwargs)
