import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate

from mmcrowd.models.losses.fidtm_loss import (
    FIDTMLoss,
    fidt_map,
    head_pixels,
    independent_ssim_loss,
    ssim,
)
from mmcrowd.ops.partition import Partition, partition_batch
from tests.testing.losses import (
    random_batch,
    value_and_grad,
)


def dense_map(points, shape, stride, alpha=0.02, beta=0.75, c=1.0):
    """FIDT map, from all distances, float64."""
    h, w = shape
    result = np.zeros((h, w))
    if len(points) == 0:
        return result
    for i in range(h):
        for j in range(w):
            x, y = (k * stride + (stride - 1) / 2 for k in (j, i))
            distance = np.hypot(points[:, 0] - x, points[:, 1] - y).min()
            result[i, j] = 1 / (distance ** (alpha * distance + beta) + c)
    return result


def dense_ssim(a, b):
    """SSIM of two arrays as its formula reads, zeros around them."""
    offset = np.arange(-5, 6)
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(values):
        return correlate(values, window, mode='constant')

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))


def dense_issim(predicted, target, points, stride, patch_size=30):
    """Mean of 1 - SSIM over the patches, cut at the border of the map."""
    h, w = predicted.shape
    side = max(1, round(patch_size / stride))
    losses = []
    for point in points:
        left, top = (math.ceil((v - (stride - 1) / 2) / stride - side / 2) for v in point)
        rows = slice(max(top, 0), max(min(top + side, h), 0))
        cols = slice(max(left, 0), max(min(left + side, w), 0))
        if predicted[rows, cols].size:
            losses.append(1 - dense_ssim(predicted[rows, cols], target[rows, cols]).mean())
    return np.mean(losses) if losses else 0.0


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    stride=st.sampled_from([1, 2, 4, 8]),
    patch_size=st.sampled_from([1, 7, 30]),
    reduction=st.sampled_from(['mean', 'sum']),
    given_partition=st.booleans(),
)
def test_dense_formula(seed, counts, shape, stride, patch_size, reduction, given_partition):
    density, points = random_batch(
        [(m, 0.2 * math.prod(shape)) for m in counts], shape, stride, seed
    )
    partition = partition_batch(points, shape, stride) if given_partition else None
    loss = FIDTMLoss(patch_size=patch_size, reduction=reduction)
    terms = loss(density, points, stride, partition)
    mse, issim = [], []
    for a, p in zip(density.squeeze(1).numpy(), points, strict=True):
        target = dense_map(p.numpy(), shape, stride)
        mse.append(getattr(np.square(a - target), reduction)())
        issim.append(dense_issim(a, target, p.numpy(), stride, patch_size))
    assert terms['loss_mse'].item() == pytest.approx(np.mean(mse), rel=1e-9)
    assert terms['loss_ssim'].item() == pytest.approx(np.mean(issim), rel=1e-9, abs=1e-12)


def test_gradient():
    density, points = random_batch(((4, 9.0), (0, 5.0)), shape=(9, 8))
    loss = FIDTMLoss(patch_size=12)

    def total(values):
        return sum(loss(values, points, 2).values())

    assert torch.autograd.gradcheck(total, density.requires_grad_())


def test_map_by_hand():
    distance = torch.tensor([0.0, 1.0, 16.0, 1e4, torch.inf])
    expected = [1, 1 / 2, 1 / (16 ** (0.32 + 0.75) + 1), 0, 0]
    np.testing.assert_allclose(fidt_map(distance), expected, rtol=1e-6)
    expected = 1 / (16 ** (0.5 * 16 + 1) + 2)
    assert fidt_map(distance[2], 0.5, 1, 2).item() == pytest.approx(expected)
    assert fidt_map(distance.double()).dtype == torch.float64


def test_tail():
    distance = torch.tensor([0.0, 30.0, 31.0, torch.inf])
    values = fidt_map(distance, tail=0.01)
    torch.testing.assert_close(values[:2], fidt_map(distance[:2]))
    assert 0 < fidt_map(distance[2]) < 0.01 and values[2:].tolist() == [0, 0]


def test_head_pixels_by_hand():
    points = torch.tensor(
        [[2.9, 1.2], [2.1, 1.9], [0.4, 7.9], [-0.4, 3.0], [9.99, 0.0], [10.0, 4.0]]
    )
    pixels = head_pixels(points, (8, 10))
    assert pixels.tolist() == [[2, 1], [2, 1], [0, 7], [0, 3], [9, 0]]
    pixels = head_pixels(points, (8, 10), first=1, drop_shared=True)
    assert sorted(pixels.tolist()) == [[1, 3], [1, 7], [9, 1]]
    assert head_pixels(points[:0], (8, 10), drop_shared=True).shape == (0, 2)


def test_map_on_whole_pixels():
    """The target is drawn at the whole pixels, whatever partition the loader brings."""
    density, points = random_batch(((5, 4.0), (0, 2.0)), (20, 30), 1)
    points = [p.clamp(0, 19.9) for p in points]
    loss = FIDTMLoss(to_pixels=True, reduction='sum', ssim_weight=0)
    partition = partition_batch(points, (20, 30), 1)
    terms = loss(density, points, 1, partition)
    error = [
        np.square(a - dense_map(np.floor(p.numpy()), (20, 30), 1)).sum()
        for a, p in zip(density.squeeze(1).numpy(), points, strict=True)
    ]
    assert list(terms) == ['loss_mse']
    assert terms['loss_mse'].item() == pytest.approx(np.mean(error), rel=1e-9)


def test_weights():
    density, points = random_batch()
    plain = FIDTMLoss()(density, points, 2)
    weighted = FIDTMLoss(mse_weight=3, ssim_weight=0.5)(density, points, 2)
    torch.testing.assert_close(weighted['loss_mse'], 3 * plain['loss_mse'])
    torch.testing.assert_close(weighted['loss_ssim'], 0.5 * plain['loss_ssim'])
    assert list(FIDTMLoss(mse_weight=0)(density, points, 2)) == ['loss_ssim']


def test_map_falls_with_the_distance():
    values = fidt_map(torch.linspace(0, 60, 1000, dtype=torch.float64))
    assert (values.diff() < 0).all()


def test_map_is_its_own_best_prediction():
    _, points = random_batch(((20, 1.0),), (40, 50), 1)
    partition = partition_batch(points, (40, 50), 1)
    target = fidt_map(partition.distance)[:, None]
    terms, grad = value_and_grad(FIDTMLoss(), target, points, 1, partition)
    assert terms == dict(loss_mse=0, loss_ssim=0)
    assert grad.abs().max() < 1e-10
    other, _ = value_and_grad(FIDTMLoss(), target * 0.9, points, 1, partition)
    assert all(value > 0 for value in other.values())


def test_ssim_of_one_cell_by_hand():
    # The window sees one value and zeros; its weight in the middle is the square of one tap.
    tap = 1 / sum(math.exp(-(k**2) / 4.5) for k in range(-5, 6))
    q = tap**2
    a, b = 0.8, 0.3
    c1, c2 = 1e-4, 9e-4
    above = (2 * q * q * a * b + c1) * (2 * (q - q * q) * a * b + c2)
    below = (q * q * (a * a + b * b) + c1) * ((q - q * q) * (a * a + b * b) + c2)
    maps = [torch.full((1, 1, 1), v, dtype=torch.float64) for v in (a, b)]
    assert ssim(*maps).item() == pytest.approx(above / below)


def test_ssim_of_large_values_stays_in_its_range():
    # In float32 the variance of such a map is lost in the rounding of its square.
    large, small = torch.rand(2, 5, 30, 30, generator=torch.Generator().manual_seed(0))
    large = (1e4 + large).requires_grad_()
    for other in (small, 1e4 + small):
        values = ssim(large, other)
        assert values.abs().max() <= 1
        values.sum().backward()
        assert large.grad.isfinite().all()


@pytest.mark.parametrize('far', [(-500.0, 5.0), (5.0, 1e7), (4e5, -4e5)])
def test_point_far_outside_has_no_patch(far):
    density, points = random_batch(((6, 30.0),))
    target = density[0, 0].flip(0)
    alone = independent_ssim_loss(density[0, 0], target, points[0], 2)
    both = torch.cat((points[0], torch.tensor([far])))
    torch.testing.assert_close(independent_ssim_loss(density[0, 0], target, both, 2), alone)
    assert independent_ssim_loss(density[0, 0], target, both[-1:], 2) == 0


def test_reduction():
    density, points = random_batch()
    mean, sum_ = (FIDTMLoss(reduction=key)(density, points, 2) for key in ('mean', 'sum'))
    torch.testing.assert_close(sum_['loss_mse'], mean['loss_mse'] * 24 * 32)
    torch.testing.assert_close(sum_['loss_ssim'], mean['loss_ssim'])


@pytest.mark.parametrize(
    'partition',
    [None, Partition(torch.full((1, 2, 3), -1), torch.full((1, 2, 3), torch.inf))],
)
def test_image_without_points(partition):
    density = torch.arange(6.0).view(1, 1, 2, 3)
    terms, grad = value_and_grad(FIDTMLoss(), density, [torch.zeros(0, 2)], 2, partition)
    assert terms['loss_mse'].item() == pytest.approx(55 / 6)
    assert terms['loss_ssim'] == 0
    torch.testing.assert_close(grad, density * 2 / 6)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(alpha=0), 'alpha must be positive, but got 0'),
        (dict(beta=-1), 'beta must be positive, but got -1'),
        (dict(c=0.0), 'c must be positive, but got 0.0'),
        (dict(patch_size=0), 'patch_size must be positive, but got 0'),
        (dict(mse_weight=-1), 'mse_weight must not be negative, but got -1'),
        (dict(tail=-0.1), 'tail must not be negative, but got -0.1'),
        (dict(mse_weight=0, ssim_weight=0), 'mse_weight and ssim_weight must not both be 0'),
        (dict(first_pixel=1), 'first_pixel=1 and drop_shared=False need to_pixels=True'),
        (dict(reduction='none'), "reduction must be one of .*'mean', 'sum'.*'none'"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=f'FIDTMLoss: {match}'):
        FIDTMLoss(**kwargs)
