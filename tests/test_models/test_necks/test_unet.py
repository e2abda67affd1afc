import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import UNet


def levels(channels, size):
    """Random features, each of half the sides, rounded down, of the one before."""
    torch.manual_seed(0)
    return [torch.rand(1, c, size[0] >> i, size[1] >> i) for i, c in enumerate(channels)]


def convolve(convs, x, padding):
    for conv in convs:
        x = F.conv2d(x, conv.weight, conv.bias, padding=padding).relu()
    return x


def test_valid_convolutions_on_the_middle_of_the_levels():
    neck = UNet((3, 4, 5), ((6, 6), (2, 2)), last_skip=False, padded=False)
    neck.init_weights()
    fine, middle, coarse = levels((3, 4, 5), (40, 32))
    (first, second), (one, other) = neck.doubles, neck.convs
    x = F.conv_transpose2d(coarse, first.weight, first.bias, stride=2)  # 20 x 16
    x = convolve(one, torch.cat([middle, x], 1), 0)  # 16 x 12
    expected = convolve(other, F.conv_transpose2d(x, second.weight, second.bias, stride=2), 0)
    torch.testing.assert_close(neck((fine, middle, coarse)), expected)
    assert expected.shape == (1, 2, 28, 20)
    larger = F.pad(middle, (1, 2, 3, 3), value=9.0)  # the middle is that of before
    torch.testing.assert_close(neck((fine, larger, coarse)), expected)


def test_padded_and_bilinear():
    """The odd sides of the finer levels come back."""
    neck = UNet((3, 4, 5), ((6,), (2, 7)), upsample='bilinear_corners')
    assert len(neck.doubles) == 0
    fine, middle, coarse = levels((3, 4, 5), (13, 11))
    x = coarse
    for level, convs in zip((middle, fine), neck.convs, strict=True):
        size = level.shape[2:]
        x = F.interpolate(x, size=size, mode='bilinear', align_corners=True)
        x = convolve(convs, torch.cat([level, x], 1), 1)
    torch.testing.assert_close(neck((fine, middle, coarse)), x)
    assert x.shape == (1, 7, 13, 11)


@pytest.mark.parametrize('upsample', ['deconv', 'bilinear', 'bilinear_corners'])
@pytest.mark.parametrize('padded', [True, False])
def test_sizes(upsample, padded):
    neck = UNet((3, 4, 5), ((6, 6), (2, 2)), padded=padded, upsample=upsample)
    out = neck(levels((3, 4, 5), (41, 39)))
    assert out.shape[1] == 2 and (out.shape[2:] == (41, 39)) == padded


def test_bad_arguments():
    with pytest.raises(ValueError, match='1 steps, expected 2 between'):
        UNet((3, 4, 5), ((6, 6),))
    with pytest.raises(ValueError, match="upsample='nearest', expected one of .*'deconv'"):
        UNet(upsample='nearest')
