import pytest
import torch

from mmcrowd.models.heads.map_head import MapHead
from mmcrowd.ops.grid import cut_middle
from mmcrowd.registry import MODELS


def mask(height, width):
    return torch.zeros(2, height, width, dtype=torch.bool)


def test_sizes():
    head = MODELS.build(dict(type='MapHead', in_channels=6, mid_channels=[4]))
    assert head.out_stride == 1 and head.needs_padding_mask
    features = torch.randn(2, 6, 11, 18)
    assert head(features)['map'].shape == (2, 1, 44, 72)
    assert head((features, None), padding_mask=mask(41, 70))['map'].shape == (2, 1, 41, 70)
    head = MapHead(in_channels=6, mid_channels=[], in_stride=4)
    assert head.out_stride == 2
    assert head(features, padding_mask=mask(41, 70))['map'].shape == (2, 1, 21, 35)


def test_is_cut_in_the_middle():
    head = MapHead(in_channels=6, mid_channels=[4]).eval()
    features = torch.randn(2, 6, 11, 18)
    whole = head(features)['map']
    torch.testing.assert_close(head(features, mask(41, 70))['map'], whole[..., 1:42, 1:71])
    torch.testing.assert_close(head(features, mask(44, 71))['map'], whole[..., :71])
    with pytest.raises(ValueError, match=r'\(44, 72\) cannot be cut to \(45, 70\)'):
        head(features, mask(45, 70))


def test_cut_of_nothing():
    maps = torch.randn(3, 4)
    assert cut_middle(maps, (3, 4)).data_ptr() == maps.data_ptr()


def test_values_are_free():
    torch.manual_seed(0)
    head = MapHead(in_channels=6, mid_channels=[4])
    head.init_weights()
    assert 0 < head.mix[0].weight.std() < 0.002
    for sign in (-1, 1):
        head.predict.bias.data.fill_(sign * 10.0)
        assert (sign * head(torch.randn(1, 6, 8, 8))['map'] > 0).all()


def test_stride_that_does_not_fit():
    with pytest.raises(ValueError, match=r'mid_channels=\(8, 4\) enlarge by 8.*in_stride=4'):
        MapHead(mid_channels=(8, 4))
