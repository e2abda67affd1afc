import pytest
import torch

from mmcrowd.models import FeaturePyramid


def test_levels_by_hand():
    """With convolutions that copy, a level is the sum of itself and all coarser ones."""
    neck = FeaturePyramid([1, 1, 1], out_channels=1, num_outs=2)
    for conv in (*neck.laterals, *neck.convs):
        torch.nn.init.dirac_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    levels = [torch.rand(2, 1, 12, 8), torch.rand(2, 1, 6, 4), torch.rand(2, 1, 3, 2)]
    fine, middle = neck(levels)

    def repeat(level, times):
        return level.repeat_interleave(times, 2).repeat_interleave(times, 3)

    torch.testing.assert_close(middle, levels[1] + repeat(levels[2], 2))
    torch.testing.assert_close(fine, levels[0] + repeat(levels[1], 2) + repeat(levels[2], 4))


@pytest.mark.parametrize('number', [0, 3])
def test_number_of_levels(number):
    with pytest.raises(ValueError, match=f'num_outs={number}, expected 1 to 2 levels'):
        FeaturePyramid([4, 8], num_outs=number)
