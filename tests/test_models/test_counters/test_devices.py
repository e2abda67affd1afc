"""A training step on an accelerator, without one: every counter on tensors that have no values."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmcrowd.engine.config import read_config
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from ...testing.devices import NoHostSteps, fake_cuda
from ...testing.processes import CASES, batch_of

CONFIGS = Path(__file__).parents[3] / 'configs'


def make_sample(number, stride):
    """A 64 x 64 image with so many points and a partition, of the default device."""
    sample = CrowdDataSample(metainfo=dict(img_shape=(64, 64)))
    sample.gt_instances = InstanceData(points=torch.rand(number, 2) * 64)
    sample.gt_partition = make_partition(64 // stride)
    return sample


def make_partition(side):
    """A partition of so many rows and columns of cells, of the default device."""
    index = torch.zeros(1, side, side, dtype=torch.int64)
    return PixelData(index=index, distance=torch.rand(1, side, side))


def check(model, inputs, samples, device):
    """See that all losses are on the device, and that the host waits if the loss says so."""
    host_step = model.loss_module.host_step
    waits = pytest.raises(RuntimeError, match='waits') if host_step else nullcontext()
    with waits, NoHostSteps():
        losses = model(inputs, samples, mode='loss')
        assert losses and all(value.device == device for value in losses.values())


@pytest.mark.parametrize(
    'name',
    [
        'pml_vgg16_shb.py',
        'pml_mcnn_shb.py',
        'pml_csrnet_shb.py',
        'zip/zip_n_shb.py',
        'ebc/ebc_vgg19_shb.py',
        'fidtm/fidtm_hrnet_w48_shb.py',
        'p2pnet/p2pnet_vgg16bn_sha.py',
    ],
)
def test_the_host_waits_only_where_the_loss_says_so(name):
    if name.startswith('zip'):
        pytest.importorskip('timm')
    cfg = read_config(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    backbone = dict(cfg.model.backbone, init_cfg=None)
    if 'pretrained' in backbone:
        backbone['pretrained'] = False
    channels = 1 if 'mcnn' in name else 3
    with fake_cuda() as device:
        with device:
            model = MODELS.build(dict(cfg.model, backbone=backbone)).train()
            inputs = torch.rand(2, channels, 64, 64)
            samples = [make_sample(number, model.stride) for number in (0, 3)]
        check(model, inputs, samples, device)


@pytest.mark.parametrize('name', CASES)
def test_every_loss_of_the_registry(name):
    inputs, samples = batch_of(name, [0, 1])
    init_default_scope('mmcrowd')
    with fake_cuda() as device:
        with device:
            model = MODELS.build(CASES[name]['model']).train()
        inputs = inputs.to(device, torch.float32)
        samples = [sample.to(device) for sample in samples]
        with device:
            for sample in samples:
                sample.gt_partition = make_partition(CASES[name]['size'] // model.stride)
        check(model, inputs, samples, device)
