import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.chf_loss import CHFLoss
from mmcrowd.models.losses.gcf_loss import GCFLoss

from ...testing.losses import random_batch, value_and_grad


def loss_by_frequency(density, points, stride, variance, bandwidth, steps, tick):
    """Frequency by frequency, with complex exponentials; ``variance(kx, ky)`` of one point."""
    h, w = density.shape
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing='ij')
    x, y = x.double() * stride, y.double() * stride
    total = 0
    for ky in range(-steps, steps):
        for kx in range(-steps, steps):
            wx, wy = kx * tick, ky * tick
            predicted = density * torch.exp(1j * (wx * x + wy * y))
            smooth = math.exp(-(bandwidth**2) * (wx**2 + wy**2) / 2)
            truth = smooth * torch.exp(1j * ((points + 0.5) @ points.new_tensor((wx, wy))))
            error = predicted.sum() - truth.sum()
            total += error.abs() / math.sqrt(1 + len(points) * variance(kx, ky))
    return total


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    # not a whole number: an error of 0 at the frequency 0 has no direction
    images=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([0.5, 4.5])), min_size=1, max_size=2
    ),
    noise=st.sampled_from([0.0, 5.0, 20.0]),
    bandwidth=st.sampled_from([2.0, 8.0]),
    tick=st.sampled_from([0.01, 0.04]),
)
def test_gaussian_noise(seed, images, noise, bandwidth, tick):
    density, points = random_batch(images, (3, 5), 4, seed)
    terms, grad = value_and_grad(GCFLoss(noise, None, 0.5, bandwidth, 3, tick), density, points, 4)

    def variance(kx, ky):
        square = (kx**2 + ky**2) * tick**2
        return (1 - math.exp(-(noise**2) * square / 2)) * math.exp(-(bandwidth**2) * square / 2)

    density.requires_grad_()
    pairs = zip(density[:, 0], points, strict=True)
    expected = sum(
        loss_by_frequency(a, p, 4, variance, bandwidth, 3, tick) for a, p in pairs
    ) / len(points)
    expected.backward()
    torch.testing.assert_close(terms['loss_gcf'], expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(grad, density.grad, rtol=1e-6, atol=1e-8)


def test_measured_noise(tmp_path):
    values = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    torch.save(values, tmp_path / 'variance.pt')
    density, points = random_batch(((4, 3.5),), (3, 5), 4)
    loss = GCFLoss(variance=str(tmp_path / 'variance.pt'), variance_scale=0.7, steps=2)
    terms, _ = value_and_grad(loss, density, points, 4)
    variance = lambda kx, ky: 0.7 * values[ky + 2, kx + 2].item()  # noqa: E731
    expected = loss_by_frequency(density[0, 0], points[0], 4, variance, 8.0, 2, 0.01)
    torch.testing.assert_close(terms['loss_gcf'], expected)
    assert not loss.state_dict()


def test_without_noise_it_is_the_loss_of_the_moduli():
    density, points = random_batch()
    terms, grad = value_and_grad(GCFLoss(noise_bandwidth=0.0), density, points)
    moduli, moduli_grad = value_and_grad(CHFLoss('moduli'), density, points)
    torch.testing.assert_close(terms['loss_gcf'] * 1e-4, moduli['loss_chf'])
    torch.testing.assert_close(grad * 1e-4, moduli_grad)


def test_bad_arguments(tmp_path):
    for kwargs, message in (
        (dict(noise_bandwidth=-1), 'noise_bandwidth must not be negative, but got -1'),
        (dict(variance_scale=-1), 'variance_scale must not be negative'),
        (dict(bandwidth=0), 'bandwidth must be positive, but got 0'),
        (dict(steps=0), 'steps must be at least 1, but got 0'),
    ):
        with pytest.raises(ValueError, match=f'GCFLoss: {message}'):
            GCFLoss(**kwargs)
    path = tmp_path / 'variance.pt'
    with pytest.raises(FileNotFoundError, match=r'variance\.pt'):
        GCFLoss(variance=str(path))
    path.write_text('no tensor')
    with pytest.raises(ValueError, match=r'variance\.pt: not a readable checkpoint'):
        GCFLoss(variance=str(path))
    for content, message in (
        (torch.zeros(4, 5), r'a tensor \(4, 4\) for steps=2, but got \(4, 5\)'),
        ([1.0], r'a tensor \(4, 4\) .* got list'),
        (-torch.ones(4, 4), 'must be finite and at least 0'),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=rf'variance\.pt: .*{message}'):
            GCFLoss(variance=str(path), steps=2)
