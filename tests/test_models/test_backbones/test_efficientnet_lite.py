import pytest
import timm
import torch

from mmcrowd.models import EfficientNetLite0
from mmcrowd.models.backbones.efficientnet_lite import DepthwiseFloat32Conv2d
from mmcrowd.models.converters.efficientnet_lite import convert


@pytest.fixture(scope='module')
def published():
    """timm's network, with statistics and weights that tell one layer from another."""
    torch.manual_seed(0)
    network = timm.create_model('tf_efficientnet_lite0', features_only=True).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith(('running_mean', 'running_var')):
                value.uniform_(0.1, 1.0)
            elif value.ndim == 1:
                value.normal_(1.0, 0.2)
    return network


def published_names(network) -> dict:
    """timm's parameters under the names of the package, in whose order they are."""
    names = []
    for name in network.state_dict():
        *place, layer, value = name.split('.')
        if not place:
            names.append(f'{dict(conv_stem="_conv_stem", bn1="_bn0")[layer]}.{value}')
            continue
        block = sum((1, 2, 2, 3, 3, 4, 1)[: int(place[1])]) + int(place[2])
        new = dict(conv_dw='_depthwise_conv', bn2='_bn1', conv_pwl='_project_conv', bn3='_bn2')
        if place[1] == '0':  # without expansion
            new = dict(conv_dw='_depthwise_conv', bn1='_bn1', conv_pw='_project_conv', bn2='_bn2')
        else:
            new |= dict(conv_pw='_expand_conv', bn1='_bn0')
        names.append(f'_blocks.{block}.{new[layer]}.{value}')
    return dict(zip(names, network.state_dict().values(), strict=True))


@pytest.mark.parametrize('shape', [(64, 96), (49, 65)])
def test_same_maps_as_timm(published, shape):
    classifier = {'_conv_head.weight': torch.zeros(1), '_fc.bias': torch.zeros(1)}
    state_dict = convert(published_names(published) | classifier)
    state_dict = {name.removeprefix('backbone.'): value for name, value in state_dict.items()}
    ours = EfficientNetLite0(out_indices=(1, 2, 3, 4, 5)).eval()
    ours.load_state_dict(state_dict)
    x = torch.randn(2, 3, *shape)
    with torch.no_grad():
        actual, expected = ours(x), published(x)
    for a, b, channels, stride in zip(
        actual, expected, ours.out_channels, ours.out_strides, strict=True
    ):
        torch.testing.assert_close(a, b)
        assert a.shape[1:] == (channels, -(-shape[0] // stride), -(-shape[1] // stride))


def test_a_foreign_name_is_an_error():
    for name in ('_blocks.16._bn0.weight', 'features.0.weight', '_blocks.3._se.weight'):
        with pytest.raises(ValueError, match='no parameter of this network'):
            convert({name: torch.zeros(1)})


def test_only_what_is_needed_and_not_frozen():
    backbone = EfficientNetLite0(frozen_stages=3, norm_eval=True).train()
    assert len(backbone.layers) == 5
    assert backbone.out_channels == (40, 112)
    trained = {name.split('.')[1] for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {'3', '4'}
    before = {name: value.clone() for name, value in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 32, 32))
    for name, value in backbone.named_buffers():
        assert torch.equal(value, before[name])
    for wrong in (dict(out_indices=()), dict(out_indices=(4, 3)), dict(frozen_stages=6)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            EfficientNetLite0(**wrong)


@pytest.mark.parametrize(('kernel', 'stride', 'groups'), [(3, 2, 8), (5, 1, 8), (3, 1, 1)])
def test_depthwise_in_float32_under_autocast(kernel, stride, groups):
    torch.manual_seed(0)
    conv = DepthwiseFloat32Conv2d(8, 8, kernel, stride=stride, groups=groups, bias=False)
    x = torch.randn(2, 8, 13, 16).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        actual = conv(x)
    expected = conv(x.float())
    assert actual.dtype == torch.bfloat16
    assert actual.shape == (2, 8, -(-13 // stride), -(-16 // stride))
    if groups == 8:  # only the result is rounded
        assert torch.equal(actual, expected.bfloat16())
    torch.testing.assert_close(actual.float(), expected, rtol=2e-2, atol=2e-2)
