"""Targets for each pixel that heads outside of the crop matter to."""

import numpy as np
import pytest

from mmcrowd.datasets.transforms import (
    DrawnMap,
    InverseNeighbourMap,
    KeepWholePoints,
    LoadCrowdImage,
    NeighbourDensity,
    ProbabilityMap,
    RandomFlip,
    RandomScaleCrop,
    ResizeByFactor,
)
from mmcrowd.ops.dots import CELL

TARGETS = [
    ProbabilityMap(),
    ProbabilityMap(sigma=4.0, reflect=True),
    InverseNeighbourMap(),
    InverseNeighbourMap(k=3),
    NeighbourDensity(),
]


def scene(seed=0, m=30, size=(50, 70)):
    rng = np.random.default_rng(seed)
    points = (rng.random((m, 2)) * size[::-1]).astype(np.float32)
    return LoadCrowdImage()(dict(img=np.zeros((*size, 3), np.uint8), points=points))


@pytest.mark.parametrize('target', TARGETS, ids=repr)
def test_a_crop_has_the_map_of_the_whole_image(target):
    np.random.seed(1)
    whole = target(scene())['gt_maps']
    results = RandomFlip(1.0)(KeepWholePoints()(scene()))
    results = RandomScaleCrop(16, scale_range=(1.0, 1.0))(results)
    number = len(results['points'])
    results = target(results)
    assert 0 < number == len(results['points']) < 30
    left, top = (int(offset) for offset in results['crop_offset'])
    for name, values in results['gt_maps'].items():
        crop = whole[name][:, top : top + 16, left : left + 16][..., ::-1]
        np.testing.assert_allclose(values, crop, atol=1e-6)


@pytest.mark.parametrize('target', TARGETS[:1] + TARGETS[2:], ids=repr)
def test_a_resized_image_has_the_map_of_the_resized_heads(target):
    results = ResizeByFactor(2.0)(KeepWholePoints()(scene()))
    heads = results['points']
    expected = target(dict(img=results['img'], points=heads))['gt_maps']
    for name, values in target(results)['gt_maps'].items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_a_head_that_is_alone_goes_by_the_size_of_the_image():
    results = KeepWholePoints()(scene(m=1, size=(40, 60)))
    results['whole_points'][:] = results['points'][:] = (30, 20)
    values = ProbabilityMap()(results)['gt_maps']['probability'][0]
    sigma = (40 + 60) / 2 / 4
    assert values[20, 30] == 1
    np.testing.assert_allclose(values[20, 40], np.exp(-0.5 * (10 / sigma) ** 2), rtol=1e-6)


def test_the_density_adds_up_to_the_number_of_heads():
    results = KeepWholePoints()(scene(m=3))
    results['points'][:] = results['whole_points'][:] = [(0, 0), (69.4, 49.4), (3, 20)]
    values = NeighbourDensity()(results)['gt_maps']['density']
    np.testing.assert_allclose(values.sum(), 3, rtol=1e-6)
    lone = dict(img=results['img'], points=np.float32([[7, 9]]))
    values = NeighbourDensity()(lone)['gt_maps']['density'][0]
    assert values[9, 7] == 1 and values.sum() == 1
    nobody = dict(img=results['img'], points=np.empty((0, 2), np.float32))
    assert not NeighbourDensity()(nobody)['gt_maps']['density'].any()


def test_drawn_maps_differ_and_have_what_is_asked_for():
    np.random.seed(0)
    transform = DrawnMap([0, 0, 0, 0, 1], spacing=3, sigma=1.0)
    image = np.zeros((3 * CELL, 5 * CELL, 3), np.uint8)
    maps = [transform(dict(img=image))['gt_maps'] for _ in range(2)]
    assert not np.array_equal(maps[0]['drawn_probability'], maps[1]['drawn_probability'])
    for drawn in maps:
        assert set(drawn) == {'drawn_probability', 'drawn_density'}
        assert drawn['drawn_probability'].shape == drawn['drawn_density'].shape == (1, 96, 160)
        heads = (drawn['drawn_probability'] == 1).sum()
        # Four in each of 15 cells, but for cells that the edge cuts.
        assert abs(heads - 60) < 25
        assert abs(drawn['drawn_density'].sum() - heads) < 0.15 * heads
    results = transform(ProbabilityMap()(dict(img=image, points=np.float32([[1, 1]]))))
    assert len(results['gt_maps']) == 4


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='sigma=0, expected a positive number'):
        ProbabilityMap(sigma=0)
    with pytest.raises(ValueError, match='k=0, stride=1, expected at least 1'):
        InverseNeighbourMap(k=0)
    with pytest.raises(ValueError, match='50x70 pixels .* is no multiple of stride 4; put Pad'):
        InverseNeighbourMap(stride=4)(scene())
    with pytest.raises(ValueError, match='beta=0, expected a positive number'):
        NeighbourDensity(beta=0)
    with pytest.raises(KeyError, match='a.jpg has no gt_original.* put it after LoadCrowdImage'):
        KeepWholePoints()(dict(points=np.float32([[1, 1]]), img_path='a.jpg'))


@pytest.mark.parametrize('weights', [[], [0, 0], [1, -1], [1, np.nan], [1, np.inf], ['a'], 1])
def test_drawn_maps_want_weights(weights):
    with pytest.raises(ValueError, match=r'DrawnMap: weights=.*, expected some above 0'):
        DrawnMap(weights)


@pytest.mark.parametrize('spacing', [0, -1, 2.5, np.nan, 'a'])
def test_drawn_maps_want_a_spacing(spacing):
    with pytest.raises(ValueError, match=f'DrawnMap: spacing={spacing!r}, expected at least 1'):
        DrawnMap([0, 1], spacing=spacing)
