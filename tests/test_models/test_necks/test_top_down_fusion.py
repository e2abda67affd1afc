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


def test_level_of_a_feature_pyramid():
    """Nearest upsampling and no activation, as in P2PNet."""
    neck = TopDownFusion([3, 5], out_channels=4, upsample='nearest', act_cfg=None)
    fine, coarse = torch.rand(2, 3, 8, 10), torch.rand(2, 5, 4, 5)
    up = neck.lateral_coarse(coarse).repeat_interleave(2, 2).repeat_interleave(2, 3)
    conv = neck.fusion[0].conv
    expected = F.conv2d(neck.lateral_fine(fine) + up, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(neck((fine, coarse)), expected)
    assert (expected < 0).any()


def test_normalised_form_for_hrnet():
    norm_cfg = dict(type='BN')
    neck = TopDownFusion([3, 5], 4, num_convs=2, norm_cfg=norm_cfg, lateral_bias=False)
    assert [type(block.norm).__name__ for block in neck.fusion] == ['BatchNorm2d'] * 2
    assert neck.lateral_fine.bias is None and neck.lateral_coarse.bias is None
    assert neck((torch.rand(2, 3, 9, 7), torch.rand(2, 5, 5, 4))).shape == (2, 4, 9, 7)


def test_bad_arguments():
    with pytest.raises(ValueError, match='in_channels'):
        TopDownFusion([3, 5, 7])
    with pytest.raises(ValueError, match="upsample='bicubic', expected one of .*'nearest'"):
        TopDownFusion([3, 5], upsample='bicubic')
