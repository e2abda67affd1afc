import torch

from mmcrowd.models import ResizeConcat
from mmcrowd.registry import MODELS


def test_levels_are_interpolated_and_stacked():
    fine = torch.arange(8.0).view(1, 1, 2, 4)
    coarse = torch.tensor([[[[0.0, 4.0]], [[8.0, 8.0]]]])
    actual = MODELS.build(dict(type='ResizeConcat'))((fine, coarse))
    assert actual.shape == (1, 3, 2, 4)
    torch.testing.assert_close(actual[:, :1], fine)
    # Centres of the fine cells lie a quarter of a coarse cell off.
    torch.testing.assert_close(actual[0, 1], torch.tensor([[0.0, 1, 3, 4]]).expand(2, 4))
    torch.testing.assert_close(actual[0, 2], torch.full((2, 4), 8.0))


def test_corners_may_stay_in_place():
    levels = (torch.zeros(1, 1, 1, 5), torch.tensor([[[[0.0, 4.0]]]]))
    actual = ResizeConcat(align_corners=True)(levels)
    torch.testing.assert_close(actual[0, 1], torch.tensor([[0.0, 1, 2, 3, 4]]))


def test_one_level_stays():
    level = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(ResizeConcat()([level]), level)
