"""The losses of PET and CLTR on difficult batches; their formulas are compared in test_systems."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope

from mmcrowd.registry import MODELS

from ...testing.networks import TRANSFORMERS, make_sample

# No point, one, coinciding ones, some outside of the image, more than there are proposals of CLTR.
BATCH = [
    [],
    [(30, 40)],
    [(9, 9)] * 4,
    [(-300, 20), (500, 1e7)],
    [(3 * i % 200, 7 * i % 200) for i in range(30)],
]


class Levels(torch.nn.Module):
    """Backbone: means of the image over squares of 4, 8 and 16 pixels."""

    def forward(self, inputs):
        return tuple(F.avg_pool2d(inputs, side) for side in (4, 8, 16))


@pytest.fixture(params=['pet', 'cltr'])
def counter(request):
    init_default_scope('mmcrowd')
    torch.manual_seed(0)
    cfg = TRANSFORMERS[request.param]
    channels = 3 if request.param == 'cltr' else [3, 3, 3]
    neck = dict(cfg['neck'], in_channels=channels)
    model = MODELS.build(dict(cfg, backbone=dict(type=Levels), neck=neck)).train()
    model.init_weights()
    return model


@pytest.fixture(params=[0, 5])
def epoch(request):
    MessageHub.get_current_instance().update_info('epoch', request.param)
    yield request.param
    MessageHub._instance_dict.clear()


def test_a_step_on_difficult_images(counter, epoch):
    samples = [make_sample(points, (100, 90)) for points in BATCH]
    inputs = torch.rand(len(BATCH), 3, 256, 256)
    terms = counter(inputs, samples, mode='loss')
    assert all(value.isfinite() for value in terms.values())
    sum(terms.values()).backward()
    grads = [p.grad for p in counter.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)
    alone = counter(inputs[:1], samples[:1], mode='loss')  # one image cannot be halved
    assert all(value.isfinite() for value in alone.values())


def test_numbers_that_are_not_finite(counter):
    samples = [make_sample([(3, 4)], (256, 256))]
    outputs = counter(torch.rand(1, 3, 256, 256))
    parts = [outputs[name] for name in ('sparse', 'dense') if name in outputs] or [outputs]
    for part in parts:
        part['logits'] = part['logits'] * torch.nan
    with pytest.raises(ValueError, match='outside of mixed precision'):
        counter.loss_module.loss(outputs, samples, counter.stride)
    with torch.autocast('cpu', torch.bfloat16):
        terms = counter.loss_module.loss(outputs, samples, counter.stride)
    assert all(value.isnan() and value.requires_grad for value in terms.values())
    infinite = [make_sample([(3, float('inf'))], (256, 256))]
    outputs = counter(torch.rand(1, 3, 256, 256))
    with pytest.raises(ValueError, match='points, and outside'):
        counter.loss_module.loss(outputs, infinite, counter.stride)
