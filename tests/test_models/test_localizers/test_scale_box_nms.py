import re

import numpy as np
import pytest
import torch

from mmcrowd.models import ScaleBoxNMS
from mmcrowd.models.heads.lsc_head import place_cells
from mmcrowd.ops.box_kinds import BOX_SIZES


def best_by_hand(values):
    """Best box of one cell, ``values`` (4, 4) from the finest scale on: score and side."""
    found = []
    for scale, row in enumerate(values):
        kind = int(np.argmax(row))
        score = row[kind] if kind < 3 else 0.0
        found.append((score, BOX_SIZES[3 * scale + kind] if kind < 3 else 0))
    third, coarsest = found[2], found[3]
    best = third if third[0] >= coarsest[0] and third[0] > 0 else coarsest
    for finer in (found[1], found[0]):
        best = finer if finer[0] > best[0] else best
    return best if best[0] > 0 else (0.0, 0)


def test_the_best_of_all_scales():
    """Few values, so that many are equal."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (4, 4, 12, 20)) / 4
    values[:, 3] = rng.integers(0, 8, (4, 12, 20)) / 4  # often the background
    score, sides = ScaleBoxNMS().best_boxes(torch.from_numpy(values.reshape(16, 12, 20)))
    expected = [[best_by_hand(values[:, :, y, x]) for x in range(20)] for y in range(12)]
    np.testing.assert_array_equal(torch.stack([score, sides], -1), expected)
    assert (score == 0).any() and (sides > 12).any()


@pytest.mark.parametrize('centred, offset', [(False, (0, 0, 0, 0)), (True, (0, 0, 1, 3))])
def test_where_a_coarse_cell_is_placed(centred, offset):
    probability = torch.rand(2, 4, 2, 3).softmax(1)
    for scale, first in enumerate(offset):
        factor = 2**scale
        placed = place_cells(probability, factor, centred)
        assert placed.shape == (2, 4, 2 * factor, 3 * factor)
        assert torch.equal(placed[:, :, first::factor, first::factor], probability)
        placed[:, :, first::factor, first::factor] = torch.tensor([0.0, 0, 0, 1])[:, None, None]
        assert (placed[:, :3] == 0).all() and (placed[:, 3] == 1).all()


def test_background_everywhere_is_no_point():
    boxes = torch.zeros(4, 4, 2, 2)
    boxes[:, 3] = 1
    points, scores = ScaleBoxNMS()(dict(boxes=boxes.flatten(0, 1)), 2)
    assert points.shape == (0, 2) and scores.shape == (0,)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='overlap=2.0'):
        ScaleBoxNMS(overlap=2.0)
    for sizes in ((), (0, 1), (2, 1), (1, 1)):
        message = f'ScaleBoxNMS: sizes={sizes!r}, expected positive numbers, ascending'
        with pytest.raises(ValueError, match=re.escape(message)):
            ScaleBoxNMS(sizes=sizes)
    with pytest.raises(KeyError, match="source='boxes' is none of"):
        ScaleBoxNMS()(dict(density=torch.zeros(2, 2)), 2)
    with pytest.raises(ValueError, match="'boxes' has 12 channels, expected one for each of 12"):
        ScaleBoxNMS()(dict(boxes=torch.zeros(12, 2, 2)), 2)
    with pytest.raises(ValueError, match='finite'):
        ScaleBoxNMS()(dict(boxes=torch.full((16, 2, 2), torch.nan)), 2)
