import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import SeparableRefiner
from mmcrowd.registry import MODELS


@pytest.mark.parametrize(
    'channels, doublings, blocks, out', [(8, 1, 1, 4), (16, 2, 2, 4), (4, 0, 0, 4)]
)
def test_sizes(channels, doublings, blocks, out):
    neck = MODELS.build(
        dict(
            type='SeparableRefiner',
            in_channels=channels,
            num_doublings=doublings,
            max_channels=4,
        )
    )
    assert (len(neck.doublings), len(neck.narrowings), neck.out_channels) == (
        doublings,
        blocks,
        out,
    )
    levels = (torch.zeros(2, 3, 9, 9), torch.randn(2, channels, 2, 3))
    actual = neck(levels)
    assert actual.shape == (2, out, 2 * 2**doublings, 3 * 2**doublings)
    torch.testing.assert_close(neck.eval()(levels), neck(levels[-1]))


def test_doubling_is_bilinear():
    """With convolutions that give nothing the block is the ReLU of its shortcut."""
    neck = SeparableRefiner(1, num_doublings=1, max_channels=1).eval()
    neck.doublings[0].pointwise.conv.weight.data.zero_()
    x = torch.randn(1, 1, 3, 4)
    enlarged = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
    torch.testing.assert_close(neck(x), F.relu(enlarged))


def test_double_block_is_the_stated_formula():
    torch.manual_seed(0)
    block = (
        SeparableRefiner(4, num_doublings=0, max_channels=2, block='double').eval().narrowings[0]
    )
    for norm in block.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 4, 5, 6)

    def normalised(x, conv, norm):
        return norm(F.conv2d(x, conv.weight))

    y = x
    for separable, last in ((block.first, False), (block.second, True)):
        depthwise, pointwise = separable.depthwise_conv, separable.pointwise_conv
        y = F.conv2d(y, depthwise.conv.weight, padding=1, groups=y.shape[1])
        y = normalised(y, pointwise.conv, pointwise.bn)
        y = y if last else y.clamp(min=0)
    expected = (y + normalised(x, block.shortcut.conv, block.shortcut.bn)).clamp(min=0)
    torch.testing.assert_close(block(x), expected)


def test_unknown_block():
    with pytest.raises(ValueError, match="block='triple', expected one of"):
        SeparableRefiner(4, block='triple')


@pytest.mark.parametrize(
    'wrong', [dict(in_channels=0), dict(num_doublings=-1), dict(max_channels=0)]
)
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match='expected positive numbers'):
        SeparableRefiner(**dict(dict(in_channels=4), **wrong))
