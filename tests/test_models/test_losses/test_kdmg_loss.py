import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from torch import nn

from mmcrowd.models.losses.kdmg_loss import KDMGLoss, KernelGenerator, cosine_loss
from mmcrowd.registry import MODELS
from tests.testing.losses import (
    check_hard_batch,
    hard_batch,
    random_batch,
    value_and_grad,
)

GENERATOR = dict(kernel_size=15, sigma=4.0, hidden_channels=64)


def trained(loss, seed=0, dtype=torch.float64):
    """The loss with a last layer that does something, as after some training."""
    rng = torch.Generator().manual_seed(seed)
    for p in loss.parameters():
        nn.init.normal_(p, std=0.3, generator=rng)
    return loss.to(dtype)


def dense_generator(generator, points, size, stride):
    """Map and divergence as the formulas read: for each point one kernel as large as the map."""
    (h, w), k, sigma = size, generator.kernel_size, generator.sigma
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    gaussians, windows = [], []
    for px, py in points.tolist():
        px, py = min(max(px, -0.5), w * stride - 0.5), min(max(py, -0.5), h * stride - 0.5)
        col = min(range(w), key=lambda j: abs(j * stride + (stride - 1) / 2 - px))
        row = min(range(h), key=lambda i: abs(i * stride + (stride - 1) / 2 - py))
        inside = ((x - col).abs() <= k // 2) & ((y - row).abs() <= k // 2)
        dx, dy = (v.double() * stride + (stride - 1) / 2 for v in (x, y))
        square = (dx - px) ** 2 + (dy - py) ** 2
        gauss = torch.exp(-square / (2 * sigma**2)) * inside
        gaussians.append(gauss / gauss.sum())
        windows.append((row, col, inside))
    total = sum(gaussians, torch.zeros(h, w, dtype=torch.float64))
    total = total * max(1.0, 2 * math.pi * sigma**2 / stride**2)
    kernels, divergences = [], []
    for gauss, (row, col, inside) in zip(gaussians, windows, strict=True):
        patch = torch.zeros(k, k, dtype=torch.float64)
        for i in range(k):
            for j in range(k):
                r, c = row + i - k // 2, col + j - k // 2
                if 0 <= r < h and 0 <= c < w:
                    patch[i, j] = total[r, c]
        residual = generator.refine(patch.flatten()).view(k, k)
        cells = inside.nonzero()
        r = residual[cells[:, 0] - row + k // 2, cells[:, 1] - col + k // 2]
        g = gauss[inside]
        kernel = g * torch.exp(r) / (g * torch.exp(r)).sum()
        kernels.append(torch.zeros(h, w, dtype=torch.float64).masked_scatter(inside, kernel))
        some = kernel > 0
        divergences.append((kernel[some] * (kernel[some] / g[some]).log()).sum())
    if not kernels:
        return total, torch.zeros(0, dtype=torch.float64)
    return torch.stack(kernels).sum(0), torch.stack(divergences)


def gradients(loss, density, points, stride):
    """Value of all terms, and gradients to the density and the parameters."""
    loss.zero_grad()
    terms, grad = value_and_grad(loss, density, points, stride)
    return terms, [grad, *(p.grad.clone() for p in loss.parameters())]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from([0.5, 4.0, 30.0])), min_size=1, max_size=2
    ),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.sampled_from([1, 2, 8]),
    kernel_size=st.sampled_from([1, 5, 11]),
    sigma=st.sampled_from([1.5, 4.0]),
)
def test_dense_formula(seed, images, shape, stride, kernel_size, sigma):
    density, points = random_batch(images, shape, stride, seed)
    loss = trained(KDMGLoss(kernel_size, sigma, 6, cosine_weight=0.7, kernel_weight=0.2), seed)
    terms, grads = gradients(loss, density, points, stride)

    loss.zero_grad()
    density.requires_grad_()
    expected = dict.fromkeys(terms, 0.0)
    for a, p in zip(density.squeeze(1), points, strict=True):
        target, divergence = dense_generator(loss.generator, p, shape, stride)
        expected['loss_density'] += ((a - target) ** 2).sum()
        expected['loss_kernel'] += 0.2 * divergence.sum()
        if len(p):
            norm, size = target.square().sum().sqrt(), a.square().sum().sqrt()
            size = size if size > norm / 10 else norm / 10
            expected['loss_cosine'] += 0.7 * (1 - (a * target).sum() / norm / size)
    expected = {key: value / len(points) for key, value in expected.items()}
    sum(expected.values()).backward()
    for key, value in terms.items():
        wanted = torch.as_tensor(expected[key], dtype=torch.float64).detach()
        torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-12)
    for actual, leaf in zip(grads, [density, *loss.parameters()], strict=True):
        wanted = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(actual, wanted, rtol=1e-8, atol=1e-10)


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 50),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    stride=st.sampled_from([1, 2, 4, 8]),
    far=st.booleans(),
)
def test_map_keeps_the_count(seed, m, shape, stride, far):
    _, (points,) = random_batch(((m, 1.0),), shape, stride, seed)
    points = points * 1e5 if far else points
    target, divergence = trained(KernelGenerator(**GENERATOR), seed)(points, shape, stride)
    assert target.shape == shape and divergence.shape == (m,)
    assert (target >= 0).all()
    assert target.sum().item() == pytest.approx(m)
    assert (divergence > -1e-12).all()


def test_starts_as_gaussians():
    generator = KernelGenerator(**{**GENERATOR, 'sigma': 5.0})
    points = torch.tensor([[20.25, 17.3], [0.0, 31.0]], dtype=torch.float64)
    target, divergence = generator(points, (16, 24), 2)
    expected = 0
    for (x, y), cols, rows in zip(
        points.tolist(), [(3, 18), (0, 8)], [(1, 16), (8, 16)], strict=True
    ):
        along = [
            torch.exp(-((torch.arange(n).double() * 2 + 0.5 - v) ** 2) / 50)
            * ((torch.arange(n) >= lo) & (torch.arange(n) < hi))
            for n, v, (lo, hi) in ((16, y, rows), (24, x, cols))
        ]
        gauss = along[0][:, None] * along[1]
        expected = expected + gauss / gauss.sum()
    torch.testing.assert_close(target, expected, rtol=1e-6, atol=1e-9)
    assert (divergence == 0).all()


def test_kernel_by_hand():
    # One point in the middle of three cells, Gaussian (g, 1, g); the network doubles the last one.
    loss = KDMGLoss(kernel_size=3, sigma=1.0, cosine_weight=3.0, kernel_weight=2.0)
    with torch.no_grad():
        loss.generator.refine[-1].bias[5] = math.log(2)
    g = math.exp(-0.5)
    start = [g / (1 + 2 * g), 1 / (1 + 2 * g), g / (1 + 2 * g)]
    kernel = [g / (1 + 3 * g), 1 / (1 + 3 * g), 2 * g / (1 + 3 * g)]
    points = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    target, _ = loss.generator(points, (1, 3), 1)
    assert target.flatten().tolist() == pytest.approx(kernel)
    density = torch.tensor([[[[0.0, 0.0, 2.0]]]], dtype=torch.float64)
    terms = loss(density, [points], 1)
    expected = kernel[0] ** 2 + kernel[1] ** 2 + (2 - kernel[2]) ** 2
    assert terms['loss_density'].item() == pytest.approx(expected)
    expected = 3 * (1 - kernel[2] / math.hypot(*kernel))
    assert terms['loss_cosine'].item() == pytest.approx(expected)
    expected = 2 * sum(k * math.log(k / s) for k, s in zip(kernel, start, strict=True))
    assert terms['loss_kernel'].item() == pytest.approx(expected)


def test_point_outside_counts_at_the_border():
    generator = trained(KernelGenerator(**GENERATOR))
    size, stride = (10, 12), 2
    outside = torch.tensor([[-300.0, 7.3], [5.5, 1e7]], dtype=torch.float64)
    border = torch.tensor([[-0.5, 7.3], [5.5, 19.5]], dtype=torch.float64)
    torch.testing.assert_close(
        generator(outside, size, stride), generator(border, size, stride), rtol=0, atol=0
    )


def test_neighbours_change_the_kernel():
    # A second point outside of the kernel's reach leaves it alone, one within does not.
    generator = trained(KernelGenerator(kernel_size=5, sigma=1.0, hidden_channels=64))
    one = torch.tensor([[10.0, 10.0]], dtype=torch.float64)

    def divergence(other):
        return generator(torch.cat((one, one + torch.tensor(other))), (40, 40), 1)[1][0].item()

    alone = generator(one, (40, 40), 1)[1][0].item()
    assert divergence([9.0, 0.0]) == pytest.approx(alone, rel=1e-12)
    assert divergence([3.0, 1.0]) != pytest.approx(alone, rel=1e-3)


def test_cosine():
    a = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert cosine_loss(7 * a, a).item() == pytest.approx(0, abs=1e-6)
    assert cosine_loss(a.flip(0), a).item() == 1
    assert cosine_loss(torch.ones(2, 2), a).item() == pytest.approx(1 - 7 / (2 * 5))
    # a dead map: linear, with a gradient that does not explode
    dead = torch.full((2, 2), 1e-20, requires_grad=True)
    cosine_loss(dead, a).backward()
    torch.testing.assert_close(dead.grad, -a / (0.1 * 5 * 5))


def test_divergence_holds_the_kernels():
    # A counter that can only predict a flat map: the generator gives way, unless it is held.
    density = torch.full((1, 1, 15, 15), 1 / 225)
    points = [torch.tensor([[14.5, 14.5]])]

    def after_training(kernel_weight):
        torch.manual_seed(0)
        loss = KDMGLoss(kernel_weight=kernel_weight)
        optimizer = torch.optim.Adam(loss.parameters(), 1e-2)
        for _ in range(100):
            optimizer.zero_grad()
            sum(loss(density, points, 2).values()).backward()
            optimizer.step()
        return loss.generator(points[0], (15, 15), 2)

    start, _ = KernelGenerator(**GENERATOR)(points[0], (15, 15), 2)
    free, far = after_training(0.0)
    held, near = after_training(10.0)
    assert free.max() < 0.5 * start.max()
    assert held.max() > 0.9 * start.max()
    assert near < 0.1 * far
    assert free.sum().item() == pytest.approx(1) and held.sum().item() == pytest.approx(1)


def test_image_without_points():
    density = torch.arange(6.0).view(1, 1, 2, 3)
    loss = trained(KDMGLoss(), dtype=torch.float32)
    terms, grads = gradients(loss, density, [torch.zeros(0, 2)], 2)
    assert terms == dict(loss_density=55, loss_cosine=0, loss_kernel=0)
    torch.testing.assert_close(grads[0], 2 * density)
    # they take part, as distributed training demands, and do not move
    assert all((grad == 0).all() for grad in grads[1:])


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_hard_batch_trains_the_generator(dtype):
    loss = trained(KDMGLoss(kernel_size=5), dtype=torch.float32)
    check_hard_batch(loss, dtype)
    _, grads = gradients(loss, *hard_batch(dtype), 2)
    assert all(grad.isfinite().all() for grad in grads)


def test_counter_trains_the_generator():
    init_default_scope('mmcrowd')
    counter = MODELS.build(
        dict(
            type='DensityCounter',
            backbone=dict(type='MCNN'),
            head=dict(
                type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4
            ),
            loss=dict(type='KDMGLoss', kernel_size=5, sigma=8.0),
        )
    )
    names = {name for name, _ in counter.named_parameters()}
    assert {name for name in names if name.startswith('loss_module.')} == {
        f'loss_module.generator.refine.{layer}.{name}'
        for layer in (0, 2)
        for name in ('weight', 'bias')
    }


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(kernel_size=4), 'kernel_size must be positive and odd, but got 4'),
        (dict(kernel_size=-1), 'kernel_size must be positive and odd, but got -1'),
        (dict(sigma=0), 'sigma must be positive, but got 0'),
        (dict(hidden_channels=0), 'hidden_channels must be positive, but got 0'),
        (dict(cosine_weight=-1), 'KDMGLoss: cosine_weight must not be negative, but got -1'),
        (dict(kernel_weight=-0.1), 'KDMGLoss: kernel_weight must not be negative, but got -0.1'),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        KDMGLoss(**kwargs)
