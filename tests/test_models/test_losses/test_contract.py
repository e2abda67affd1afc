"""What the contract asks of every density loss: any of them trains any counter."""

from contextlib import nullcontext

import pytest
import torch
from mmengine.registry import init_default_scope

from mmcrowd.models import losses
from mmcrowd.models.losses import DensityLoss
from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.registry import MODELS

from ...testing.devices import NoHostSteps, fake_cuda
from ...testing.losses import (
    EXTREME,
    LOSSES,
    build_loss,
    check_autocast,
    check_compiles,
    check_hard_batch,
    value_and_grad,
)
from ...testing.networks import BACKBONES, make_sample

# No point, one, duplicates, outside the frame, and more than an 8 x 8 map has cells.
POINTS = [
    [],
    [[20.3, 40.8]],
    [[10, 10], [10, 10], [50, 30], [10, 10]],
    [[-3, 20], [70, 80], [1e4, -1e4], [30, 30]],
    torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * 64,
]


def mixed_batch(stride, fill, dtype=torch.float32):
    """The bad batch, with a density that is random, zero or nearly so, or all three."""
    size = 64 // stride
    generator = torch.Generator().manual_seed(1)
    density = torch.rand(len(POINTS), 1, size, size, generator=generator) / 4
    scale = dict(random=[1] * 5, zero=[0] * 5, tiny=[1e-8] * 5, mixed=[0, 1, 1e-8, 1, 0])[fill]
    density *= torch.tensor(scale).view(-1, 1, 1, 1)
    points = [torch.as_tensor(p, dtype=torch.float32).reshape(-1, 2) for p in POINTS]
    return density.to(dtype).requires_grad_(), points


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('fill', ['random', 'zero', 'tiny', 'mixed'])
@pytest.mark.parametrize('name', LOSSES)
def test_bad_batch(name, fill, dtype):
    loss = build_loss(name)
    density, points = mixed_batch(stride=4, fill=fill, dtype=dtype)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        terms = loss(density, points, 4)
    assert all(key.startswith('loss_') for key in terms)
    assert all(value.shape == () and value.dtype == torch.float32 for value in terms.values())
    total = sum(terms.values())
    assert total.isfinite()
    total.backward()
    assert density.grad.isfinite().all()
    # Too few people in an image make every loss ask for more somewhere.
    if fill == 'zero':
        assert (density.grad[1:] < 0).flatten(1).any(1).all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('name', LOSSES | EXTREME)
def test_hard_batch_is_the_mean_of_its_images(name, dtype):
    # A distance has the digits of its dtype, and a Euclidean cost no more.
    euclidean = (LOSSES | EXTREME)[name].get('cost') == 'euclidean'
    check_hard_batch(build_loss(name), dtype, far=1e3 if euclidean else 1e7)


@pytest.mark.parametrize('name', LOSSES)
def test_autocast(name):
    check_autocast(build_loss(name))


def without_host_step(name):
    loss = build_loss(name)
    if loss.host_step:
        pytest.skip(f'{name} has a host step')
    return loss


@pytest.mark.parametrize('name', LOSSES)
def test_compiles_to_one_graph(name):
    check_compiles(without_host_step(name))


@pytest.mark.parametrize('name', LOSSES)
def test_the_host_waits_for_no_value(name):
    """Neither in the loss nor in its backward pass."""
    loss = without_host_step(name)
    density, points = mixed_batch(stride=4, fill='random')
    partition = partition_batch(points, density.shape[2:], 4)
    with NoHostSteps():
        value_and_grad(loss, density, points, 4, partition)


@pytest.mark.parametrize('name', LOSSES)
def test_a_loss_says_whether_the_host_waits(name):
    """On an accelerator, where a copy to the host or a plain one from there waits as well."""
    with fake_cuda() as device:
        with device:
            loss = build_loss(name)
            density, points = torch.rand(2, 1, 8, 8), [torch.rand(0, 2), torch.rand(9, 2)]
            partition = Partition(torch.zeros(2, 8, 8, dtype=torch.int64), torch.rand(2, 8, 8))
        waits = pytest.raises(RuntimeError, match='waits') if loss.host_step else nullcontext()
        with waits, NoHostSteps():
            terms = loss(density, points, 4, partition, image_sides=[99.0, 64.0])
            assert all(value.device == device for value in terms.values())


@pytest.mark.parametrize('name', LOSSES)
def test_built_from_a_config(name):
    loss = build_loss(name)
    assert isinstance(loss, DensityLoss)
    assert type(loss) is getattr(losses, LOSSES[name]['type'])
    init_default_scope('mmengine')
    other = MODELS.build(dict(LOSSES[name], type=f'mmcrowd.{LOSSES[name]["type"]}'))
    for key, value in LOSSES[name].items():
        for built in (loss, other):
            options = vars(built) | vars(built).get('options', {})
            assert key == 'type' or options[key] == value


def test_old_name():
    assert MODELS.get('ChfLoss') is losses.CHFLoss is losses.ChfLoss


@pytest.mark.parametrize('name', LOSSES)
def test_points_and_partition_follow_the_density_to_its_device(name, monkeypatch):
    # The meta device stands for a GPU: it too refuses to meet tensors of the host.
    monkeypatch.setattr(torch, 'autocast', lambda *args, **kwargs: nullcontext())
    loss = without_host_step(name).to('meta')
    density, points = mixed_batch(stride=4, fill='random')
    partition = partition_batch(points, density.shape[2:], 4)
    terms = loss(density.to('meta'), points, 4, partition)
    assert all(value.device.type == 'meta' for value in terms.values())


@pytest.mark.parametrize('given', [True, False])
@pytest.mark.parametrize('dtypes', [(torch.float64, torch.float32), (torch.float32, torch.float64)])
@pytest.mark.parametrize('name', LOSSES)
def test_points_and_partition_follow_the_density_to_its_dtype(name, dtypes, given):
    loss = build_loss(name)
    density, points = mixed_batch(stride=4, fill='random', dtype=dtypes[0])
    expected = loss(density, points, 4)
    points = [p.to(dtypes[1]) for p in points]
    partition = partition_batch(points, density.shape[2:], 4) if given else None
    for key, value in loss(density, points, 4, partition).items():
        assert value.dtype == dtypes[0]
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_an_overflow_is_told_by_the_value(name):
    # A gradient scaler may skip such a step, so it must not end the training.
    loss = build_loss(name)
    density, points = mixed_batch(stride=4, fill='random')
    density = torch.where(torch.arange(256).view(16, 16) % 37 == 0, torch.inf, density)
    with torch.autocast('cpu', torch.bfloat16):
        terms = loss(density, points, 4)
    assert not sum(terms.values()).isfinite()


@pytest.mark.parametrize('name', LOSSES)
def test_arguments_that_do_not_fit(name):
    loss = build_loss(name)
    density, points = mixed_batch(stride=4, fill='random')
    name = type(loss).__name__
    with pytest.raises(ValueError, match=f'{name}: 5 density maps need as many lists .* got 4'):
        loss(density, points[:4], 4)
    with pytest.raises(ValueError, match=f'{name}: 5 density maps .* image_sides, but got 6'):
        loss(density, points, 4, image_sides=[64.0] * 6)
    partition = partition_batch(points, (8, 8), 8)
    with pytest.raises(ValueError, match=rf'{name}: .*\(5, 8, 8\).*\(5, 16, 16\).*head, 4\)'):
        loss(density, points, 4, partition)


class ByImage(DensityLoss):
    """Shows what one image is given."""

    def image_loss(self, density, points, stride, nearest=None, side=None):
        self.seen = nearest, side
        return dict(loss_count=(density.sum() - len(points)).abs())


class ByBatch(DensityLoss):
    """Of another output, with everything that a loss can ask for."""

    source = 'map'
    needs_partition = needs_image_side = True

    def batch_loss(self, density, points, stride, partition, sides):
        self.seen = partition, sides
        return dict(loss_sum=density.sum((1, 2, 3)))


def samples_of_two_images(*strides):
    return [
        make_sample(points, (16, 16), stride)
        for points, stride in zip(([[3, 4]], [[1, 1], [9, 9]]), strides, strict=True)
    ]


def test_from_the_outputs_of_a_network():
    samples = samples_of_two_images(4, 4)
    outputs = dict(density=torch.full((2, 1, 4, 4), 0.25), map=torch.ones(2, 1, 4, 4))
    loss = ByImage()
    assert loss.loss(outputs, samples, 4) == dict(loss_count=(3 + 2) / 2)
    assert loss.seen == (None, None)
    loss = ByBatch()
    assert loss.loss(outputs, samples, 4) == dict(loss_sum=16)
    partition, sides = loss.seen
    given = [sample.gt_partition for sample in samples]
    assert torch.equal(partition.index, torch.cat([p.index for p in given]))
    assert torch.equal(partition.distance, torch.cat([p.distance for p in given]))
    assert sides.tolist() == [16, 16]  # of the map, as the samples do not know their image
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(400, 300), scale_factor=(0.5, 0.5)))
    loss.loss(outputs, samples, 4)
    assert loss.seen[1].tolist() == [150, 150]
    loss.loss(outputs, samples_of_two_images(None, None), 4)
    computed = loss.seen[0]
    assert isinstance(computed, Partition) and torch.equal(computed.index, partition.index)


@pytest.mark.parametrize(
    ('strides', 'message'),
    [
        ((2, 2), r'ByBatch: .*\(2, 8, 8\).*\(2, 4, 4\).*stride of the head, 4'),
        ((4, 2), r'one size, but got \[\(4, 4\), \(8, 8\)\].*stride of the head, 4'),
        ((4, None), 'only 1 of 2 samples have a gt_partition.*stride of the head, 4'),
    ],
)
def test_partitions_that_do_not_fit_are_no_slow_path(strides, message):
    outputs = dict(map=torch.ones(2, 1, 4, 4))
    with pytest.raises(ValueError, match=message):
        ByBatch().loss(outputs, samples_of_two_images(*strides), 4)


def test_a_loss_says_what_an_image_costs():
    class Nothing(DensityLoss):
        pass

    with pytest.raises(NotImplementedError, match='Nothing must define image_loss or batch_loss'):
        Nothing()(torch.ones(1, 1, 2, 2), [torch.zeros(0, 2)], 4)


# Losses see float32 whatever the network ran in, so bfloat16 with one network is enough; that each
# network trains in it is among the tests of the counters.
@pytest.mark.parametrize(
    ('counter', 'precision'), [*((counter, 'fp32') for counter in BACKBONES), ('mcnn', 'bf16')]
)
@pytest.mark.parametrize('name', LOSSES)
def test_trains_every_counter(name, counter, precision):
    build_loss(name)  # skips
    cfg = dict(type='DensityCounter', loss=LOSSES[name], precision=precision, **BACKBONES[counter])
    model = MODELS.build(cfg)
    model.init_weights()
    model.train()
    samples = [make_sample(p, (64, 64)) for p in POINTS]
    inputs = torch.rand(len(POINTS), 3, 64, 64)
    data = model.data_preprocessor(dict(inputs=list(inputs * 255), data_samples=samples), True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in gradients)
    assert any(grad.any() for grad in gradients)
    optimizer.step()
    assert all(p.isfinite().all() for p in model.parameters())
