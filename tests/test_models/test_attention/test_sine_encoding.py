import math

import pytest
import torch

from mmcrowd.models.attention import grid_encoding, padded_cells


def encoding_by_formula(number, of, channels):
    """Of the ``number``-th of so many cells along an axis, counted from 1."""
    position = 2 * math.pi * number / (of + 1e-6)
    angles = [position / 10_000 ** (2 * (c // 2) / channels) for c in range(channels)]
    return [math.cos(a) if c % 2 else math.sin(a) for c, a in enumerate(angles)]


def test_grid_encoding():
    mask = torch.ones(2, 5, 7, dtype=torch.bool)
    mask[0, :, :] = False
    mask[1, :3, :4] = False
    encoding = grid_encoding(mask, 8)
    assert encoding.shape == (2, 8, 5, 7)
    for image, (height, width) in enumerate([(5, 7), (3, 4)]):
        for i, j in [(0, 0), (2, 3), (height - 1, width - 1), (1, 0)]:
            vertical = encoding_by_formula(i + 1, height, 4)
            horizontal = encoding_by_formula(j + 1, width, 4)
            assert encoding[image, :, i, j].tolist() == pytest.approx(
                vertical + horizontal, abs=1e-6
            )


def test_some_cells_of_a_large_grid():
    mask = torch.zeros(2, 12, 9, dtype=torch.bool)
    mask[1, 8:] = mask[1, :, 5:] = True
    rows, columns = torch.tensor([0, 7, 10]), torch.tensor([3, 8])
    some = grid_encoding(mask, 8, (rows, columns))
    torch.testing.assert_close(some, grid_encoding(mask, 8)[:, :, rows][..., columns])


def test_padded_cells():
    mask = torch.ones(1, 8, 12, dtype=torch.bool)
    mask[0, :5, :4] = False  # the image ends inside of the second row of cells
    assert padded_cells(mask, (2, 3)).tolist() == [[[False, True, True], [False, True, True]]]
