import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import TopDownFusion


def test_is_the_stated_formula():
    torch.manual_seed(0)
    neck = TopDownFusion([3, 5], out_channels=4)
    neck.init_weights()
    fine, coarse = torch.rand(2, 3, 8, 10), torch.rand(2, 5, 4, 5)
    up = F.interpolate(
        neck.lateral_coarse(coarse), scale_factor=2, mode='bilinear', align_corners=False
    )
    conv = neck.fusion[0].conv
    expected = F.conv2d(neck.lateral_fine(fine) + up, conv.weight, conv.bias, padding=1).relu()
    torch.testing.assert_close(neck((fine, coarse, torch.rand(1))), expected)


def test_normalised_form_for_hrnet():
    norm_cfg = dict(type='BN')
    neck = TopDownFusion([3, 5], 4, num_convs=2, norm_cfg=norm_cfg, lateral_bias=False)
    assert [type(block.norm).__name__ for block in neck.fusion] == ['BatchNorm2d'] * 2
    assert neck.lateral_fine.bias is None and neck.lateral_coarse.bias is None
    assert neck((torch.rand(2, 3, 9, 7), torch.rand(2, 5, 5, 4))).shape == (2, 4, 9, 7)


def test_needs_two_levels():
    with pytest.raises(ValueError, match='in_channels'):
        TopDownFusion([3, 5, 7])
