import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmcrowd.models.backbones import CSRNet, VGGFeatures
from mmcrowd.registry import MODELS

BN = dict(type='BN')


def test_is_ten_vgg_convolutions_and_six_dilated_ones():
    backbone = MODELS.build(dict(type='mmcrowd.CSRNet')).eval()
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    widths = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 256, 128, 64)
    assert tuple(conv.out_channels for conv in convs) == widths
    x = expected = torch.randn(1, 3, 40, 48)
    with torch.no_grad():
        for i, conv in enumerate(convs):
            if i in (2, 4, 7):
                expected = F.max_pool2d(expected, 2)
            dilation = 1 if i < 10 else 2
            expected = F.relu(
                F.conv2d(expected, conv.weight, conv.bias, padding=dilation, dilation=dilation)
            )
        (out,) = backbone(x)
    assert out.shape == (1, 64, 5, 6)
    torch.testing.assert_close(out, expected)
    assert backbone.out_channels == (64,)
    assert backbone.out_strides == (8,)


@pytest.mark.parametrize('pretrained', [False, True])
def test_initialisation(tmp_path, pretrained):
    torch.manual_seed(0)
    vgg = VGGFeatures(16)
    path = tmp_path / 'vgg16.pth'
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in vgg.state_dict().items()}), path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone')
    backbone = CSRNet(init_cfg=init_cfg if pretrained else None)
    backbone.init_weights()
    for layer in backbone.back_end:
        assert layer.conv.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not layer.conv.bias.any()
    if pretrained:
        for name, value in backbone.features.state_dict().items():
            assert torch.equal(value, vgg.features.state_dict()[name]), name


def test_keeps_a_pretrained_back_end(tmp_path):
    trained = CSRNet()
    path = tmp_path / 'csrnet.pth'
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in trained.state_dict().items()}), path)
    backbone = CSRNet(init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone'))
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name


def test_norm_and_frozen_stages():
    backbone = CSRNet(norm_cfg=BN, frozen_stages=4).train()
    assert not any(p.requires_grad for p in backbone.features.parameters())
    assert all(p.requires_grad for p in backbone.back_end.parameters())
    assert sum(isinstance(m, nn.BatchNorm2d) for m in backbone.back_end.modules()) == 6


def test_bad_frozen_stages():
    with pytest.raises(ValueError, match='frozen_stages=5, expected -1 to 4'):
        CSRNet(frozen_stages=5)
