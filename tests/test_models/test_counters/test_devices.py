"""A training step on an accelerator, without one: every counter on tensors that have no values."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch._subclasses.fake_tensor import DataDependentOutputException

from mmcrowd.engine.config import read_config
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, to_input_frame, to_original_frame

from ...testing.devices import NoHostSteps, fake_cuda, fake_mps
from ...testing.processes import CASES, batch_of

CONFIGS = Path(__file__).parents[3] / 'configs'


def make_sample(number, size, stride):
    """A square image with so many points, partition and maps, of the default device."""
    sample = CrowdDataSample(metainfo=dict(img_shape=(size, size)), gt_count=number)
    sample.gt_instances = InstanceData(points=torch.rand(number, 2) * size)
    sample.gt_partition = make_partition(size // stride)
    ones = torch.ones(1, size, size)
    maps = dict.fromkeys(('mask', 'density', 'probability', 'iknn'), ones)
    if stride == 2:  # of LSC-CNN, whose kinds of boxes are whole numbers
        maps = dict(box_kind=ones[:, ::2, ::2].byte())
    sample.gt_maps = PixelData(**maps)
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
    'name, size',
    [
        ('pml_vgg16_shb.py', 64),
        ('pml_mcnn_shb.py', 64),
        ('pml_csrnet_shb.py', 64),
        ('zip/zip_n_shb.py', 64),
        ('ebc/ebc_vgg19_shb.py', 64),
        ('fidtm/fidtm_hrnet_w48_shb.py', 64),
        ('p2pnet/p2pnet_vgg16bn_sha.py', 64),
        ('pet/pet_vgg16bn_sha.py', 256),
        ('iim/iim_vgg16bn_nwpu.py', 64),
        ('raz/raz_vgg16_nwpu.py', 64),
        ('lsc_cnn/lsc_cnn_vgg16_sha.py', 64),
        ('d2cnet/d2cnet_vgg16_sha.py', 64),
        ('iknn/i1nn_vgg16_sha.py', 64),
        ('man/man_vgg19_sha.py', 64),
        ('steerer/steerer_hrnet_w48_sha.py', 256),
    ],
)
def test_the_host_waits_only_where_the_loss_says_so(name, size):
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
            inputs = torch.rand(2, channels, size, size)
            samples = [make_sample(number, size, model.stride) for number in (0, 3)]
        check(model, inputs, samples, device)


def test_a_prediction_needs_no_float64_of_the_device():
    init_default_scope('mmcrowd')
    model = MODELS.build(
        dict(
            type='DensityCounter',
            backbone=dict(type='MCNN'),
            head=dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4),
            loss=dict(type='PMLLoss'),
        )
    )
    meta = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(2.0, 2.0))
    with fake_mps() as device:
        image = dict(density=torch.rand(16, 16, device=device))
        # All is done but for reading the number, since there is none.
        with pytest.raises(DataDependentOutputException):
            model._count(image, CrowdDataSample(metainfo=meta))
        points = torch.rand(3, 2, device=device)
        for move in (to_input_frame, to_original_frame):
            moved = move(points, meta)
            assert moved.device == device and moved.dtype == torch.float32


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
