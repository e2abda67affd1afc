import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from mmcrowd.models import OverlapInference
from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample


@pytest.mark.parametrize('case', range(4))
def test_tiles_of_the_published_program(golden_root: Path, case):
    """Tile number n of RAZ's program for NWPU-Crowd answers n everywhere."""
    with np.load(golden_root / 'systems' / 'tiles.npz') as arrays:
        size = arrays[f'raz/{case}/size_hw']
        number = arrays[f'raz/{case}/n_tiles']
        expected = arrays[f'raz/{case}/map_of_tile_numbers']
    calls = itertools.count(1)

    def run(inputs, padding_mask=None):
        return dict(density=torch.full_like(inputs, next(calls))[:, :, ::8, ::8])

    tiled = OverlapInference((576, 768))(run, torch.zeros(1, 1, *size))
    assert next(calls) == number + 1
    np.testing.assert_allclose(tiled['density'][0, 0], expected[::8, ::8])


def test_overlapping_steps_and_nested_maps():
    """A mean over windows is the same in every tile; each map keeps its stride and place."""
    inference = TASK_UTILS.build(dict(type='OverlapInference', crop_size=(16, 24), step=(8, 16)))

    def run(inputs, padding_mask=None):
        scales = [inputs * 2, dict(a=avg_pool2d(inputs, 4))]
        return dict(density=avg_pool2d(inputs, 8), scales=scales)

    images = torch.rand(2, 3, 40, 56)
    tiled, whole = inference(run, images), run(images)
    torch.testing.assert_close(tiled, whole)


def test_overlaps_are_averaged():
    """What depends on the tile is the mean over the tiles of a cell."""

    def run(inputs, padding_mask=None):
        return dict(density=inputs.mean((2, 3), keepdim=True).expand(-1, -1, 1, 4))

    row = torch.arange(6.0).view(1, 1, 1, 6)
    tiled = OverlapInference((1, 4))(run, row)
    # The means of 0 to 3 and 2 to 5.
    assert tiled['density'].flatten().tolist() == [1.5, 1.5, 2.5, 2.5, 3.5, 3.5]


def test_padding_mask():
    masks = []

    def run(inputs, padding_mask):
        masks.append(padding_mask)
        return dict(density=inputs)

    sample = CrowdDataSample(metainfo=dict(img_shape=(3, 6)))
    OverlapInference((4, 4))(run, torch.zeros(1, 1, 4, 8), [sample])
    assert [mask.sum(1).tolist() for mask in masks] == [[[1, 1, 1, 1]], [[1, 1, 4, 4]]]


def test_what_cannot_be_averaged():
    inference = OverlapInference((12, 12))
    image = torch.zeros(1, 1, 20, 12)
    with pytest.raises(ValueError, match=r'begins at \(8, 0\) .* inside a cell of 6 pixels'):
        inference(lambda x, padding_mask: dict(density=avg_pool2d(x, 6)), image)
    with pytest.raises(ValueError, match=r'an output of \(1, 5, 2\) is no map'):
        inference(lambda x, padding_mask: dict(points=torch.zeros(1, 5, 2)), image)


@pytest.mark.parametrize('kwargs', [dict(crop_size=(0, 8)), dict(crop_size=(8, 8), step=(9, 8))])
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match='expected positive pixels'):
        OverlapInference(**kwargs)
