from functools import partial

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmpretrain.models import backbones as mmpretrain_backbones
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcrowd.models.backbones import CSRNet, VGGFeatures, VGGSideBranches
from mmcrowd.registry import MODELS

BN = dict(type='BN')
CHANNELS = (64, 128, 256, 512, 512)


def reference(depth, norm_cfg=None):
    """mmpretrain's network, whose outputs are the maps behind the pools."""
    network = mmpretrain_backbones.VGG(depth, norm_cfg=norm_cfg, out_indices=range(5))
    network.eval()  # returns None
    return network


@pytest.mark.parametrize('norm_cfg', [None, BN])
@pytest.mark.parametrize('depth', [11, 13, 16, 19])
def test_is_mmpretrain_before_the_pool(depth, norm_cfg):
    theirs = reference(depth, norm_cfg)
    ours = VGGFeatures(depth, out_stages=range(5), norm_cfg=norm_cfg).eval()
    ours.load_state_dict(theirs.state_dict())  # strict: the same names
    x = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        expected, maps = theirs(x), ours(x)
    assert len(maps) == 5
    for stage, (pooled, out) in enumerate(zip(expected, maps, strict=True)):
        stride = 2**stage
        assert out.shape == (1, CHANNELS[stage], 32 // stride, 64 // stride)
        assert out.min() >= 0
        torch.testing.assert_close(F.max_pool2d(out, 2), pooled)
    assert ours.out_channels == CHANNELS
    assert ours.out_strides == (1, 2, 4, 8, 16)


def test_valid_convolutions():
    """The first pads, and the others take a pixel from each side."""
    torch.manual_seed(0)
    network = VGGFeatures(11, out_stages=(0, 1, 2), initial_padding=5)
    x = torch.rand(1, 3, 16, 24)
    maps = network(x)
    first, second, *_ = (m for m in network.features.modules() if isinstance(m, torch.nn.Conv2d))
    a = F.conv2d(x, first.weight, first.bias, padding=5).relu()
    b = F.conv2d(F.max_pool2d(a, 2), second.weight, second.bias).relu()
    torch.testing.assert_close(maps[0], a)
    torch.testing.assert_close(maps[1], b)
    assert [tuple(m.shape[2:]) for m in maps] == [(24, 32), (10, 14), (1, 3)]


@pytest.mark.parametrize(
    'out_stages, num_convs', [((3, 4), 13), ((3,), 10), ((4,), 13), ((0, 2), 7), ((0,), 2)]
)
def test_builds_and_returns_the_chosen_stages_only(out_stages, num_convs):
    every = VGGFeatures(16, out_stages=range(5))
    some = VGGFeatures(16, out_stages=out_stages)
    some.load_state_dict(every.state_dict(), strict=False)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in some.modules()) == num_convs
    x = torch.randn(2, 3, 16, 16)
    maps = every(x)
    outs = some(x)
    assert len(outs) == len(out_stages)
    for stage, out in zip(out_stages, outs, strict=True):
        torch.testing.assert_close(out, maps[stage])
    assert some.out_strides == tuple(2**stage for stage in out_stages)
    assert some.out_channels == tuple(CHANNELS[stage] for stage in out_stages)


def test_default_outputs_are_strides_8_and_16():
    backbone = MODELS.build(dict(type='mmcrowd.VGG', depth=11))
    assert backbone.out_strides == (8, 16)
    assert backbone.out_channels == (512, 512)


@pytest.mark.parametrize('norm_cfg', [None, BN])
def test_every_parameter_gets_a_gradient(norm_cfg):
    # In-place ReLUs that changed a kept map would fail here.
    torch.manual_seed(0)
    backbone = VGGFeatures(11, norm_cfg=norm_cfg)
    fine, coarse = backbone(torch.randn(2, 3, 64, 64))
    (fine.square().sum() + coarse.square().sum()).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_loads_a_published_checkpoint(tmp_path):
    """A classifier's file: ``backbone.`` before the names, and layers that we do not have."""
    theirs = reference(11, BN).state_dict()
    state_dict = {f'backbone.{name}': value for name, value in theirs.items()}
    state_dict['backbone.classifier.0.weight'] = torch.zeros(2, 3)
    path = tmp_path / 'vgg11_bn.pth'
    torch.save(dict(state_dict=state_dict, meta=dict()), path)
    ours = VGGFeatures(
        11,
        norm_cfg=BN,
        init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone'),
    )
    ours.init_weights()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def test_frozen_stages():
    backbone = VGGFeatures(16, norm_cfg=BN, frozen_stages=2)

    def assert_frozen():
        for name, parameter in backbone.named_parameters():
            stage_above_2 = int(name.split('.')[1]) >= 6
            assert parameter.requires_grad == stage_above_2, name

    assert_frozen()  # from the start
    assert backbone.train() is backbone
    assert_frozen()
    norms = [m for m in backbone.modules() if isinstance(m, _BatchNorm)]
    assert [m.training for m in norms] == [False] * 4 + [True] * 9
    running_mean = norms[0].running_mean.clone()
    backbone(torch.randn(2, 3, 32, 32))
    assert torch.equal(norms[0].running_mean, running_mean)


def test_checkpointing_computes_twice_and_gives_the_same():
    """All of it but the pools, since a stage begins behind one."""
    model, image = VGGFeatures(11, out_stages=(0, 1)), torch.rand(1, 3, 8, 8)
    calls = []
    for layer in model.features:
        layer.register_forward_pre_hook(lambda module, _: calls.append(type(module)))
    results = []
    for model.with_cp in (False, True):
        outs = model(image)
        sum(out.square().sum() for out in outs).backward()
        results.append([*outs, *(parameter.grad for parameter in model.parameters())])
        model.zero_grad()
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    assert calls.count(nn.MaxPool2d) == 2
    assert calls.count(ConvModule) == 3 * 2
    calls.clear()
    with torch.no_grad():
        model(image)
    assert calls.count(ConvModule) == 2


@pytest.mark.parametrize('build', [CSRNet, partial(VGGSideBranches, 11)])
def test_checkpointing_of_what_stands_behind_the_stages(build):
    """Dilated convolutions and branches: all are computed twice, and the gradients are the same."""
    model, image = build(), torch.rand(1, 3, 32, 32)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    calls = []
    for layer in convolutions:
        layer.register_forward_pre_hook(lambda module, _: calls.append(module))
    results = []
    for model.with_cp in (False, True):
        calls.clear()
        outs = model(image)
        sum(out.square().sum() for out in outs).backward()
        results.append([*outs, *(parameter.grad for parameter in model.parameters())])
        model.zero_grad()
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    assert all(calls.count(layer) == 2 for layer in convolutions)
    assert build(with_cp=True).with_cp


def test_norm_eval():
    backbone = VGGFeatures(11, norm_cfg=BN, norm_eval=True).train()
    assert backbone.training
    assert not any(m.training for m in backbone.modules() if isinstance(m, _BatchNorm))
    assert all(p.requires_grad for p in backbone.parameters())


def test_train_and_eval_return_self():
    backbone = VGGFeatures(11)
    assert backbone.train() is backbone
    assert backbone.training
    assert backbone.eval() is backbone
    assert not backbone.training


@pytest.mark.parametrize(
    'kwargs, key, seen',
    [
        (dict(depth=12), 'depth', '12'),
        (dict(depth=16, out_stages=()), 'out_stages', r'\(\)'),
        (dict(depth=16, out_stages=(3, 5)), 'out_stages', r'\(3, 5\)'),
        (dict(depth=16, out_stages=(4, 3)), 'out_stages', r'\(4, 3\)'),
        (dict(depth=16, out_stages=(3, 3)), 'out_stages', r'\(3, 3\)'),
        (dict(depth=16, out_stages=(-1,)), 'out_stages', r'\(-1,\)'),
        (dict(depth=16, frozen_stages=6), 'frozen_stages', '6'),
        (dict(depth=16, out_stages=(3,), frozen_stages=5), 'frozen_stages', '5'),
    ],
)
def test_bad_values(kwargs, key, seen):
    with pytest.raises(ValueError, match=f'{key}={seen}, expected'):
        VGGFeatures(**kwargs)
