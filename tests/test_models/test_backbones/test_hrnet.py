import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.backbones import HRNet

from mmcrowd.models import HRNetBilinear
from mmcrowd.registry import MODELS

NARROW = dict(
    stage1=dict(
        num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(64,)
    ),
    stage2=dict(
        num_modules=1, num_branches=2, block='BASIC', num_blocks=(1, 1), num_channels=(4, 8)
    ),
    stage3=dict(
        num_modules=2, num_branches=3, block='BASIC', num_blocks=(1,) * 3, num_channels=(4, 8, 16)
    ),
    stage4=dict(
        num_modules=1,
        num_branches=4,
        block='BASIC',
        num_blocks=(1,) * 4,
        num_channels=(4, 8, 16, 32),
    ),
)


@pytest.fixture(scope='module')
def pair():
    """mmpretrain's network and ours, with the same weights."""
    torch.manual_seed(0)
    theirs, ours = HRNet(extra=NARROW), HRNetBilinear(extra=NARROW).eval()
    theirs.eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_same_names_and_only_the_enlarging_differs(pair, monkeypatch):
    theirs, ours = pair
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected, actual = theirs(x), ours(x)
        assert [a.shape for a in actual] == [b.shape for b in expected]
        assert not torch.allclose(actual[0], expected[0])
        # Cells repeated instead of interpolated: mmpretrain's own maps.
        interpolate = F.interpolate
        monkeypatch.setattr(
            F, 'interpolate', lambda level, size, **_: interpolate(level, size, mode='nearest')
        )
        for a, b in zip(ours(x), expected, strict=True):
            torch.testing.assert_close(a, b)


def test_enlarging_is_bilinear(pair):
    """One exchange by hand: the coarse branch comes in through its 1x1 convolution."""
    exchange = pair[1].stage2[0]
    fine, coarse = torch.randn(1, 4, 8, 10), torch.randn(1, 8, 4, 5)
    with torch.no_grad():
        actual, _ = exchange([fine, coarse])
        level = exchange.fuse_layers[0][1](exchange.branches[1](coarse))
        enlarged = F.interpolate(level, scale_factor=2, mode='bilinear', align_corners=False)
        torch.testing.assert_close(actual, F.relu(exchange.branches[0](fine) + enlarged))


@pytest.mark.parametrize('size', [(41, 70), (33, 64), (1, 1)])
def test_any_size(pair, size):
    with torch.no_grad():
        maps = pair[1](torch.randn(1, 3, *size))
    for level, stride in zip(maps, pair[1].out_strides, strict=True):
        assert level.shape[2:] == tuple(-(-side // stride) for side in size)


def test_settings():
    backbone = MODELS.build(dict(type='HRNetBilinear', arch='w18', align_corners=True))
    assert backbone.out_channels == (18, 36, 72, 144)
    assert all(
        module.align_corners
        for stage in ('stage2', 'stage3', 'stage4')
        for module in getattr(backbone, stage)
    )
    assert {m.momentum for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.01}
    assert backbone.train() is backbone
    frozen = HRNetBilinear(extra=NARROW, norm_eval=True, norm_cfg=dict(type='BN')).train()
    assert not frozen.bn1.training and frozen.bn1.momentum == 0.1 and frozen.training


def test_checkpointing_gives_the_same_gradients(pair):
    """The statistics of normalisation move twice in a step, as everywhere in mmpretrain."""
    _, plain = pair
    model = HRNetBilinear(extra=NARROW, with_cp=True).train()
    model.load_state_dict(plain.state_dict())
    image = torch.rand(2, 3, 32, 32)
    gradients, updates = [], []
    for network in (copy.deepcopy(plain).train(), model):
        sum(out.square().sum() for out in network(image)).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
        blocks = (network.layer1[0], network.stage4[0].branches[3][0])
        updates.append([int(block.bn1.num_batches_tracked) for block in blocks])
    torch.testing.assert_close(gradients[1], gradients[0])
    assert updates == [[1, 1], [2, 2]]


def test_scopes():
    """The name does not hide mmpretrain's network."""
    assert MODELS.get('mmpretrain.HRNet') is HRNet
    assert MODELS.get('HRNetBilinear') is HRNetBilinear
