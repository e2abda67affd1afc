import pytest
import torch

from mmcrowd.models import TileInference
from mmcrowd.models.lazy_batch import LazyBatch

from ..testing.networks import make_sample

TILE = 4


def run(inputs, padding_mask=None):
    """One proposal in each tile: its brightest pixel, with what is there and how much is masked."""
    number, _, height, width = inputs.shape
    assert (height, width) == (TILE, TILE)
    place = inputs[:, 0].flatten(1).argmax(1, keepdim=True)
    points = torch.stack((place % width, place // width), -1).float()
    masked = torch.zeros(number) if padding_mask is None else padding_mask.sum((1, 2)).float()
    part = dict(points=points, masked=masked[:, None])
    return dict(part, auxiliary=[dict(points=points + 0.25)])


def bright(shape, points):
    image = torch.zeros(1, *shape)
    for x, y in points:
        image[0, y, x] = 1
    return image


@pytest.mark.parametrize('batch_size', [1, 4, 16])
@pytest.mark.parametrize('pad_start', [False, True])
@pytest.mark.parametrize('lazy', [False, True])
def test_points_are_where_they_were(batch_size, pad_start, lazy):
    points = [(1, 1), (5, 0), (8, 1), (0, 5), (4, 4), (9, 5)]
    images = [bright((6, 10), points), bright((6, 10), points[::-1])]
    images[1][0, 1, 1] = 2  # another image of the batch
    padded = torch.nn.functional.pad(torch.stack(images), (0, 6, 0, 2))
    inputs = LazyBatch(images, torch.stack, 1, (8, 16), 0) if lazy else padded
    samples = [make_sample([], (6, 10)) for _ in images]
    tiles = TileInference(TILE, batch_size, pad_start)
    if pad_start:
        tiles_of = [(x + 2) // 4 + 3 * ((y + 2) // 4) for x, y in points]
    else:
        tiles_of = [x // 4 + 3 * (y // 4) for x, y in points]
    outputs = tiles(run, inputs, samples)
    assert outputs['points'].shape == (2, 6, 2)
    for point, tile in zip(points, tiles_of, strict=True):
        if tiles_of.count(tile) == 1:
            assert outputs['points'][0, tile].tolist() == list(point)
    torch.testing.assert_close(outputs['auxiliary'][0]['points'], outputs['points'] + 0.25)
    masked = [0] * 6 if pad_start else [0, 0, 8, 8, 8, 12]
    assert outputs['masked'].tolist() == [masked] * 2


def test_without_samples_all_is_image():
    assert TileInference(TILE)(run, torch.zeros(1, 1, 8, 4))['masked'].tolist() == [[0, 0]]


def test_errors():
    with pytest.raises(ValueError, match='tile_size=0, expected at least 1'):
        TileInference(0)
    samples = [make_sample([], shape) for shape in ((4, 8), (4, 4))]
    with pytest.raises(ValueError, match=r'need \[\(1, 2\), \(1, 1\)\] tiles .* batch_size=1'):
        TileInference(TILE)(run, torch.zeros(2, 1, 4, 8), samples)
    with pytest.raises(ValueError, match=r"output 'count' of \(2,\) for 2 tiles is none of"):
        TileInference(TILE)(
            lambda x, padding_mask: dict(count=x.sum((1, 2, 3))), torch.ones(1, 1, 4, 8)
        )
