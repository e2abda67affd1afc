import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.datasets.transforms import (
    BoxMask,
    DotBoxes,
    LoadCrowdImage,
    PackCrowdInputs,
    PseudoBoxes,
    RandomFlip,
    RandomGamma,
    RandomScaleCrop,
    SeparateBoxes,
)
from mmcrowd.models.localizers.connected_components import label
from mmcrowd.ops.separate_boxes import nearest_boxes, separate_boxes


def make_results(points, size=(64, 96)):
    img = np.zeros((*size, 3), np.uint8)
    return LoadCrowdImage()(dict(img=img, points=np.asarray(points, np.float32).reshape(-1, 2)))


def draw(boxes, size):
    """Every pixel beside every box."""
    y, x = np.mgrid[: size[0], : size[1]][..., None]
    left, top, right, bottom = np.reshape(boxes, (-1, 4)).T
    inside = (left <= x) & (x <= right) & (top <= y) & (y <= bottom)
    return inside.any(-1).astype(np.uint8)


def test_sides_are_mean_distances_of_neighbours():
    points = np.random.default_rng(0).random((30, 2)) * 200
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    side = np.sort(distances, 1)[:, 1:4].mean(1).clip(7, 50)
    boxes = PseudoBoxes()(make_results(points))['boxes']
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], np.stack((side, side), 1), rtol=1e-4)
    np.testing.assert_allclose((boxes[:, 2:] + boxes[:, :2]) / 2, points, rtol=1e-5)


@pytest.mark.parametrize('points', [[], [[5, 5]], [[5, 5], [5, 5]]])
def test_few_points(points):
    results = BoxMask()(SeparateBoxes()(PseudoBoxes()(make_results(points))))
    sides = results['boxes'][:, 2:] - results['boxes'][:, :2]
    assert results['boxes'].shape == (len(points), 4)
    if len(points) == 1:
        assert (sides == 50).all()
    assert results['gt_maps']['mask'].any() == bool(points)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 25))
def test_separated_boxes_do_not_touch(seed, number):
    """On a grid with places enough every box is a component of its own."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(25)[:number]
    centres = np.stack((places % 5, places // 5), 1) * 18 + rng.integers(9, 15, (number, 2))
    half = rng.integers(3, 26, (number, 2))
    after = separate_boxes(centres, half)
    assert (after <= half).all() and (after >= np.minimum(half, 2)).all()
    boxes = np.concatenate([centres - after, centres + after - 1], 1)
    mask = draw(boxes, (100, 100))
    assert label(mask > 0, 4).max() == number


def test_boxes_that_are_apart_stay():
    centres, half = np.array([[10, 10], [60, 10], [10, 60]]), np.full((3, 2), 8)
    np.testing.assert_array_equal(separate_boxes(centres, half), half)


def test_nearest_boxes_against_all_distances():
    centres = np.random.default_rng(1).integers(0, 40, (30, 2))
    centres = np.unique(centres, axis=0)
    for own, others in enumerate(nearest_boxes(centres)):
        squared = ((centres - centres[own]) ** 2).sum(1)
        squared[own] = 10**6
        np.testing.assert_array_equal(np.sort(squared)[:5], squared[others])
        assert own not in others


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_mask_moves_with_the_pixels(flip):
    """Cut and flipped before the drawing or after it."""
    np.random.seed(0)
    results = SeparateBoxes()(PseudoBoxes()(make_results([[20, 20], [40, 21], [60, 40]])))
    whole = BoxMask()(dict(results))['gt_maps']['mask'][0]
    results = RandomScaleCrop(48, scale_range=(1, 1))(results)
    x, y = map(int, results['crop_offset'])
    results = BoxMask()(RandomFlip(flip)(results))
    expected = whole[y : y + 48, x : x + 48]
    expected = expected[:, ::-1] if flip else expected
    inside = draw(results['boxes'], (48, 48))  # heads whose centre was cut off are not drawn
    np.testing.assert_array_equal(results['gt_maps']['mask'][0], inside)
    assert (inside <= expected).all() and inside.any()
    sample = PackCrowdInputs()(results)['data_samples']
    assert sample.gt_maps.mask.shape == (1, 48, 48)


def test_what_is_wrong_is_named():
    results = make_results([[3, 3]])
    with pytest.raises(KeyError, match='has no boxes; put PseudoBoxes before it'):
        BoxMask()(results)
    with pytest.raises(ValueError, match='share=0'):
        PseudoBoxes(share=0)
    for sides in ((7,), (9, 7), (0, 7), (7, np.inf), ('a', 'b'), 7):
        with pytest.raises(ValueError, match=re.escape(f'sides={sides!r}, expected positive')):
            PseudoBoxes(sides=sides)
    results = BoxMask()(PseudoBoxes()(results))
    with pytest.raises(ValueError, match='must come after the last geometric transform'):
        RandomScaleCrop(8)(results)


@pytest.mark.parametrize('limits', [(5, 3), (0, 0), (-1, -2), (0.5, 3), (3,), (3, np.nan), 3, 'ab'])
def test_wrong_limits_are_refused(limits):
    message = f'SeparateBoxes: limits={limits!r}, expected two numbers from 1 on, ascending'
    with pytest.raises(ValueError, match=re.escape(message)):
        SeparateBoxes(limits=limits)


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(least=-3), 'least must be at least 1, but got -3'),
        (dict(least=0), 'least must be at least 1, but got 0'),
        (dict(rounds=-1), 'rounds must be at least 0, but got -1'),
        (dict(rounds=1.5), 'rounds must be an integer, but got 1.5'),
        (dict(next_gap='a'), "next_gap must be an integer, but got 'a'"),
        (dict(next_gap=-1), 'next_gap must be at least 0, but got -1'),
    ],
)
def test_wrong_rules_are_refused(wrong, message):
    with pytest.raises(ValueError, match=f'SeparateBoxes: {message}'):
        SeparateBoxes(**wrong)
    with pytest.raises(TypeError, match="'foo'"):
        SeparateBoxes(foo=1)


def test_the_rule_reaches_the_function():
    rule = dict(least=1, rounds=3, narrow_gap=False, next_gap=None)
    centres = np.random.default_rng(0).integers(20, 60, (9, 2))
    half = np.full((9, 2), 8)
    results = SeparateBoxes(**rule)(dict(boxes=np.concatenate([centres - half, centres + half], 1)))
    sides = results['boxes'][:, 2:] - results['boxes'][:, :2]
    expected = separate_boxes(centres, half, **rule)
    np.testing.assert_array_equal(sides / 2, expected)
    assert (expected != separate_boxes(centres, half)).any()


@pytest.mark.parametrize(
    'box', [[5, 2, 3, 4], [2, 5, 4, 3], [np.nan, 2, 3, 4], [1, 2, np.inf, 4]], ids=str
)
@pytest.mark.parametrize('transform', [BoxMask(), SeparateBoxes(), DotBoxes(by_box=True)], ids=repr)
def test_boxes_that_are_none_are_refused(transform, box):
    results = make_results([[3, 3], [3, 3]])
    results.update(boxes=np.float32([[1, 1, 2, 2], box]), img_path='a.jpg')
    message = rf'{type(transform).__name__}: a.jpg: boxes\[1\] is .* expected finite x1 <= x2'
    with pytest.raises(ValueError, match=message):
        transform(results)


@pytest.mark.parametrize(
    'box, rows, columns',
    [
        ([3.2, 2.4, 3.2, 2.4], [2], [3]),  # no size: the pixel it lies in
        ([3.6, 2.5, 3.6, 2.5], [3], [4]),
        ([3, 2, 3, 2], [2], [3]),
        ([3.2, 1, 3.9, 4], [1, 2, 3, 4], [4]),  # between two columns
        ([2.4, 1, 3.1, 1.2], [1], [3]),  # thinner than a pixel, with a centre in it
        ([-0.4, 5.3, 0.2, 5.4], [5], [0]),
        ([-0.8, 2, -0.6, 4], [], []),  # outside
        ([-3, 2, -1, 4], [], []),
        ([8.2, 2, 8.4, 4], [2, 3, 4], [8]),
        ([8.6, 2, 8.8, 4], [], []),
    ],
)
def test_a_thin_box_has_its_pixel(box, rows, columns):
    results = dict(img=np.zeros((6, 9, 3), np.uint8), boxes=np.float32([box]))
    expected = np.zeros((6, 9), np.uint8)
    expected[np.ix_(rows, columns)] = 1
    np.testing.assert_array_equal(BoxMask()(results)['gt_maps']['mask'][0], expected)


def test_gamma():
    img = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    brighter = RandomGamma(1.0, (0.5, 0.5))(dict(img=img))['img']
    expected = np.rint(255 * np.sqrt(np.arange(256) / 255))
    np.testing.assert_array_equal(brighter[0, :, 0], expected)
    assert RandomGamma(0.0)(dict(img=img))['img'] is img
    with pytest.raises(ValueError, match='gamma_range'):
        RandomGamma(gamma_range=(2, 1))
