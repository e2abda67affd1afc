"""Counters and localizers on a GPU."""

import copy

import pytest
import torch
from mmengine.structures import InstanceData

from mmcrowd.analysis.benchmarks.localizers import make_crowd, make_outputs
from mmcrowd.models.counters.outputs import map_tensors
from mmcrowd.models.localizers.local_maximum import LocalMaximum
from mmcrowd.models.localizers.ot_minimization import OTMinimization
from mmcrowd.registry import MODELS, TASK_UTILS

from ..testing.crowds import crowd
from ..testing.devices import assert_same, to_device
from ..testing.networks import COUNTERS, TRANSFORMERS, make_sample
from ..testing.processes import CASES, batch_of, build_counter

pytestmark = pytest.mark.cuda

SHAPE = (64, 96)
# From outputs of every kind, see `make_outputs`, to points.
LOCALIZERS = {
    'scales': dict(type='MultiScaleMaximum'),
    'regions': dict(type='ConnectedComponents', threshold=0.02),
    'regions_of_mass': dict(
        type='ConnectedComponents', threshold=0.01, high=0.03, connectivity=8, centre='mass'
    ),
    'outlines': dict(
        type='ConnectedComponents', threshold=0.3, connectivity=8, centre='outline', source='map'
    ),
    'threshold_map': dict(
        type='ConnectedComponents', threshold='threshold', to_cells=True, source='map'
    ),
    'boxes': dict(type='BoxNMS'),
    'counted_peaks': dict(type='CountGuidedPeaks', spare_votes=True),
    'blocks': dict(type='BlockMaximum'),
    'boxes_of_scales': dict(type='ScaleBoxNMS'),
    'proposals': dict(type='ProposalThreshold'),
    'sigmoids': dict(type='SigmoidThreshold'),
    'every_sigmoid': dict(type='SigmoidThreshold', score_threshold=0.5, every_logit=True),
}
# How counters of CASES count.
RULES = {
    'pml': dict(localizer=dict(type='LocalMaximum', mode='relative')),
    'p2pnet': dict(localizer=dict(type='ProposalThreshold')),
    'iim': dict(
        localizer=dict(type='ConnectedComponents', threshold=0.55, source='map'),
        count_from='points',
    ),
    'raz': dict(
        localizer=dict(type='LocalMaximum', threshold=0.0, smooth=3, source='probability'),
        count_from='points',
    ),
    'topocount': dict(
        localizer=dict(LOCALIZERS['outlines'], threshold=0.52, source='probability'),
        count_from='points',
    ),
    'lsc_cnn': dict(
        localizer=dict(type='ScaleBoxNMS', sizes=tuple(range(2, 11))), count_from='points'
    ),
    'd2cnet': dict(
        localizer=dict(LOCALIZERS['counted_peaks'], cell=8, counts='count', source='probability'),
        count_from='count',
    ),
    'pet': dict(localizer=dict(type='ProposalThreshold', score_threshold=0.3)),
    'cltr': {},
    'ebc': {},
    'iknn': {},
    'man': {},
    'steerer': {},
    'zip': {},
}


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


def cast_batch(name, model):
    """The batch of a case on the device of a model."""
    inputs, samples = batch_of(name, [0, 1])
    return model.data_preprocessor.cast_data(dict(inputs=inputs, data_samples=samples))


def assert_same_outputs(actual, expected, device):
    """One by one, since each has a size of its own."""
    assert actual.keys() == expected.keys()
    for key in expected:
        there, here = [], []
        map_tensors(there.append, actual[key])
        map_tensors(here.append, expected[key])
        for pair in zip(there, here, strict=True):
            assert pair[0].device.type == device.type
            assert_same(*({key: value} for value in pair))


@pytest.mark.parametrize('name', [*COUNTERS, *TRANSFORMERS])
def test_outputs_and_losses(name, device):
    here = build(name).eval()
    there = copy.deepcopy(here).to(device)
    results = []
    for model in (here, there):
        data = model.data_preprocessor(make_batch())
        outputs = model(**data)
        results.append((outputs, model(**data, mode='loss')))
    (outputs, losses), (outputs_there, losses_there) = results
    assert_same_outputs(outputs_there, outputs, device)
    assert {value.device.type for value in losses_there.values()} == {device.type}
    assert_same(losses_there, losses)


@pytest.mark.parametrize('name', CASES)
def test_every_loss_of_the_registry(name, device):
    """A step of a small counter in float64: its outputs, its losses and their gradients."""
    here = build_counter(name)
    there = copy.deepcopy(here).to(device)
    results = []
    for model in (here, there):
        data = cast_batch(name, model)
        with torch.no_grad():
            outputs = model(**data)
        losses = model(**data, mode='loss')
        sum(losses.values()).backward()
        gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
        results.append((outputs, losses, gradients))
    (outputs, losses, gradients), (outputs_there, losses_there, gradients_there) = results
    assert_same_outputs(outputs_there, outputs, device)
    assert {value.device.type for value in losses_there.values()} == {device.type}
    assert all(value.isfinite() for value in losses.values()) and gradients
    assert_same(losses_there, losses)
    assert_same(gradients_there, gradients)


@pytest.mark.parametrize('name', RULES)
def test_the_predictions_of_the_cpu(name, device):
    """In float64, in which no point is so near to a threshold that rounding decides."""
    torch.manual_seed(0)
    here = MODELS.build(dict(CASES[name]['model'], **RULES[name])).double().eval()
    there = copy.deepcopy(here).to(device)
    results = []
    for model in (here, there):
        with torch.no_grad():
            results.append(model(**cast_batch(name, model), mode='predict'))
    for sample, sample_there in zip(*results, strict=True):
        assert sample_there.pred_count == pytest.approx(sample.pred_count, rel=1e-4)
        if here.localizer is not None:
            points, points_there = sample.pred_instances.points, sample_there.pred_instances.points
            assert len(points) > 10 and points_there.device.type == device.type
            torch.testing.assert_close(points_there.cpu(), points, rtol=1e-4, atol=1e-3)


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


@pytest.mark.parametrize('name', LOCALIZERS)
def test_localizers_of_outputs(name, device):
    outputs = make_outputs(*make_crowd(60, 64, 2, 0), 2)
    outputs['threshold'] = outputs['map'].clamp(0.5, 0.7)
    # Of equal scores a device may sort any to the front.
    outputs['logits'] += torch.rand(
        outputs['logits'].shape, generator=torch.Generator().manual_seed(0)
    )
    localizer = TASK_UTILS.build(LOCALIZERS[name])
    points, scores = localizer(outputs, 2)
    there = localizer(to_device(outputs, device), 2)
    assert len(points) > 10 and {t.device.type for t in there} == {device.type}
    torch.testing.assert_close(there[0].cpu(), points, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(there[1].cpu(), scores, rtol=1e-4, atol=1e-6)
