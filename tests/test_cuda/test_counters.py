"""Counters and localizers on a GPU."""

import copy

import pytest
import torch
from mmengine.structures import InstanceData

from mmcrowd.models.counters.outputs import map_tensors
from mmcrowd.models.localizers.local_maximum import LocalMaximum
from mmcrowd.models.localizers.ot_minimization import OTMinimization
from mmcrowd.registry import MODELS

from ..testing.crowds import crowd
from ..testing.devices import to_device
from ..testing.networks import COUNTERS, TRANSFORMERS, make_sample

pytestmark = pytest.mark.cuda

SHAPE = (64, 96)


def build(name, **kwargs):
    torch.manual_seed(0)
    model = MODELS.build(dict((COUNTERS | TRANSFORMERS)[name], **kwargs))
    model.init_weights()
    return model


def make_batch():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *SHAPE), dtype=torch.uint8, generator=generator)
    points = torch.rand(2, 9, 2, generator=generator) * 64
    samples = [make_sample(p[:number], SHAPE) for p, number in zip(points, (9, 1), strict=True)]
    return dict(inputs=list(images), data_samples=samples)


def tensors(output):
    """The tensors of an output, which may be a list of them."""
    found = []
    map_tensors(found.append, output)
    return found


def assert_same(actual, expected):
    scale = float(expected.abs().max())
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize('name', COUNTERS)
def test_outputs_and_losses(name, device):
    here = build(name).eval()
    there = copy.deepcopy(here).to(device)
    results = []
    for model in (here, there):
        data = model.data_preprocessor(make_batch())
        outputs = model(**data)
        results.append((outputs, model(**data, mode='loss')))
    (outputs, losses), (outputs_there, losses_there) = results
    assert losses.keys() == losses_there.keys()
    for key, value in (outputs | losses).items():
        there = tensors((outputs_there | losses_there)[key])
        for actual, expected in zip(there, tensors(value), strict=True):
            assert actual.device.type == device.type
            assert_same(actual.detach(), expected.detach())


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('name', [*COUNTERS, *TRANSFORMERS])
def test_predictions(name, precision, device):
    model = build(name, precision=precision).to(device).eval()
    with torch.no_grad():
        samples = model.test_step(make_batch())
    for sample in samples:
        assert sample.pred_count >= 0
        if 'pred_density' in sample:
            assert sample.pred_density.density.dtype == torch.float32
        if 'pred_instances' in sample:
            assert isinstance(sample.pred_instances, InstanceData)
            assert sample.pred_instances.points.device.type == device.type


@pytest.mark.parametrize(
    'localizer',
    [
        LocalMaximum(),
        LocalMaximum(mode='relative', window=5),
        LocalMaximum(mode='adaptive', threshold=0.02, smooth=3, join=False),
        OTMinimization(max_iterations=2),
    ],
    ids=['absolute', 'relative', 'adaptive', 'transport'],
)
def test_localizers(localizer, device):
    _, density = crowd(60, (64, 96), 2)
    density = torch.from_numpy(density).float()
    points, scores = localizer(density, 2)
    there = localizer(to_device(density, device), 2)
    assert len(points) > 10 and {t.device.type for t in there} == {device.type}
    torch.testing.assert_close(there[0].cpu(), points, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(there[1].cpu(), scores, rtol=1e-4, atol=1e-6)
