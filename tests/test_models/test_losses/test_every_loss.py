"""What the contract asks of every density loss: any of them trains any counter."""

from contextlib import nullcontext

import pytest
import torch
from mmengine.registry import init_default_scope

from mmcrowd.ops.partition import partition_batch
from mmcrowd.registry import MODELS

from ..test_counters.test_density_counter import BACKBONES, make_sample

LOSSES = {
    'pml': dict(type='PMLLoss'),
    'pml_l2': dict(type='PMLLoss', norm='l2'),
    'pml_kl': dict(type='PMLLoss', norm='kl'),
    'pml_kl_tau': dict(type='PMLLoss', norm='kl', tau=0.5, cost='euclidean'),
    'l2': dict(type='GaussianL2Loss'),
    'l2_adaptive': dict(type='GaussianL2Loss', sigma='adaptive'),
    'bayesian': dict(type='BayesianLoss'),
    'bayesian_without_background': dict(type='BayesianLoss', background=False),
    'noise_cc': dict(type='NoiseCCLoss'),
    'dm_count': dict(type='DMCountLoss'),
    'gl_perspective': dict(type='GeneralizedLoss', cost='perspective'),
    'gl_exp': dict(type='GeneralizedLoss', cost='exp'),
    'uot': dict(type='UOTLoss'),
    'chf_moduli': dict(type='ChfLoss', form='moduli'),
    'chf_sparse': dict(type='ChfLoss', form='sparse'),
    'chf_dense': dict(type='ChfLoss', form='dense'),
    'kdmg': dict(type='KDMGLoss'),
    'fidtm': dict(type='FIDTMLoss'),
}
HOST_STEP = ('gl_perspective', 'gl_exp', 'l2_adaptive')  # they wait for values on the host
# No point, one, duplicates, outside the frame, and more than an 8 x 8 map has cells.
POINTS = [
    [],
    [[20.3, 40.8]],
    [[10, 10], [10, 10], [50, 30], [10, 10]],
    [[-3, 20], [70, 80], [1e4, -1e4], [30, 30]],
    torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) * 64,
]


def build_loss(name):
    if name.startswith('gl'):
        pytest.importorskip('geomloss')
    torch.manual_seed(0)
    init_default_scope('mmcrowd')
    return MODELS.build(LOSSES[name])


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


@pytest.mark.parametrize('name', LOSSES)
def test_batch_is_the_mean_of_its_images(name):
    loss = build_loss(name)
    density, points = mixed_batch(stride=4, fill='random')
    together = loss(density, points, 4)
    alone = [loss(a[None], [p], 4) for a, p in zip(density, points, strict=True)]
    for key, value in together.items():
        expected = torch.stack([terms[key] for terms in alone]).mean()
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', [name for name in LOSSES if name not in HOST_STEP])
def test_points_and_partition_follow_the_density_to_its_device(name, monkeypatch):
    # The meta device stands for a GPU: it too refuses to meet tensors of the host.
    monkeypatch.setattr(torch, 'autocast', lambda *args, **kwargs: nullcontext())
    loss = build_loss(name).to('meta')
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
def test_number_of_point_lists(name):
    density, points = mixed_batch(stride=4, fill='random')
    with pytest.raises(ValueError, match='5 density maps.* got 4'):
        build_loss(name)(density, points[:4], 4)


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('counter', BACKBONES)
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
