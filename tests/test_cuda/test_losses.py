"""The losses and the partition on a GPU."""

from contextlib import contextmanager

import pytest
import torch

from mmcrowd.ops.partition import partition_batch

from ..testing.devices import assert_same, to_device
from ..testing.losses import LOSSES, build_loss, hard_batch, random_batch, value_and_grad

pytestmark = pytest.mark.cuda

BATCHES = dict(hard=lambda: hard_batch(far=1e3), random=random_batch)


@contextmanager
def no_synchronisation(device):
    """On a GPU an error wherever the host waits for it."""
    if device.type != 'cuda':
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('given', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('batch', BATCHES)
@pytest.mark.parametrize('name', LOSSES)
def test_the_numbers_of_the_cpu(name, batch, dtype, given, device):
    density, points = BATCHES[batch]()
    density, points = density.to(dtype), [p.to(dtype) for p in points]
    partition = partition_batch(points, density.shape[2:], 2) if given else None
    terms, grad = value_and_grad(build_loss(name), density, points, 2, partition)
    there = to_device((density, points, 2, partition), device)
    terms_there, grad_there = value_and_grad(build_loss(name).to(device), *there)
    assert {value.device.type for value in terms_there.values()} == {device.type}
    assert_same(terms_there, terms)
    assert_same(dict(grad=grad_there), dict(grad=grad))


@pytest.mark.parametrize('name', LOSSES)
def test_the_host_does_not_wait(name, device):
    loss = build_loss(name).to(device)
    if loss.host_step:
        pytest.skip(f'{name} has a host step')
    density, points = to_device(random_batch(), device)
    partition = partition_batch(points, density.shape[2:], 2)
    value_and_grad(loss, density, points, 2, partition)  # loads libraries and kernels
    with no_synchronisation(device):
        value_and_grad(loss, density, points, 2, partition)


def test_a_wait_is_an_error(cuda):
    """Without this the test above could not fail."""
    with pytest.raises(RuntimeError, match='synchroniz'), no_synchronisation(cuda):
        torch.ones(2, device=cuda).sum().item()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    'sizes, shape, stride',
    [(((3, 1), (0, 1), (40, 1)), (24, 32), 2), (((1250, 1), (54, 1)), (256, 256), 2)],
)
def test_partition(sizes, shape, stride, dtype, device):
    _, points = random_batch(sizes, shape, stride)
    points = [p.to(dtype) for p in points]
    index, distance = partition_batch(points, shape, stride)
    there = partition_batch(to_device(points, device), shape, stride)
    assert torch.equal(there.index.cpu(), index)
    torch.testing.assert_close(there.distance.cpu(), distance, rtol=1e-6, atol=0)


def test_partition_of_ties(device):
    """The lowest index wins on every device."""
    x, y = torch.meshgrid(torch.arange(0.0, 32, 4), torch.arange(0.0, 32, 4), indexing='xy')
    points = torch.stack((x, y), -1).view(-1, 2).repeat(2, 1)
    index, _ = partition_batch([points], (31, 31), 1)
    assert torch.equal(partition_batch([points.to(device)], (31, 31), 1).index.cpu(), index)
