import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.evaluation.functional.counting import (
    ATTRIBUTE_CLASSES,
    COUNT_CLASSES,
    count_errors,
    count_errors_by_attribute,
    count_errors_by_class,
    density_by_region,
    game,
    mean_over_classes,
    points_by_region,
)

counts = st.lists(
    st.tuples(st.floats(0, 20_000), st.integers(0, 20_000)),
    min_size=1,
    max_size=30,
)


def test_hand_computed():
    # Errors +3, -4, 0, +12.
    errors = count_errors([13, 16, 100, 12], [10, 20, 100, 0])
    assert errors['MAE'] == 19 / 4
    assert errors['RMSE'] == math.sqrt((9 + 16 + 144) / 4) == 6.5
    # The empty image has no relative error: (0.3 + 0.2 + 0) / 3.
    assert errors['NAE'] == pytest.approx(0.5 / 3)


@settings(deadline=None)
@given(counts)
def test_against_a_plain_loop(pairs):
    pred, gt = zip(*pairs, strict=True)
    absolute = [abs(p - g) for p, g in pairs]
    relative = [abs(p - g) / g for p, g in pairs if g]
    errors = count_errors(pred, gt)
    assert errors['MAE'] == pytest.approx(math.fsum(absolute) / len(pairs))
    # math.hypot scales, so that it does not lose the smallest errors when they are squared.
    assert errors['RMSE'] == pytest.approx(math.hypot(*absolute) / math.sqrt(len(pairs)), abs=1e-9)
    if relative:
        assert errors['NAE'] == pytest.approx(math.fsum(relative) / len(relative))
    else:
        assert math.isnan(errors['NAE'])


@settings(deadline=None)
@given(counts, st.randoms())
def test_order_of_images_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    first, second = (count_errors(*zip(*p, strict=True)) for p in (pairs, shuffled))
    assert first == pytest.approx(second, nan_ok=True)


@pytest.mark.filterwarnings('error')
def test_mean_over_no_image_is_nan():
    assert all(math.isnan(value) for value in count_errors([], []).values())
    errors = count_errors([2.0], [0])
    assert errors['MAE'] == 2 and math.isnan(errors['NAE'])


def test_classes_hold_both_ends():
    gt = [0, 50, 51, 500, 501, 9000]
    pred = [1, 52, 55, 508, 517, 9032]  # errors 1, 2, 4, 8, 16, 32
    errors = count_errors_by_class(pred, gt, COUNT_CLASSES['jhu'])
    assert [errors[f'MAE_{name}'] for name in ('low', 'medium', 'high')] == [1.5, 6, 24]
    assert errors['RMSE_low'] == pytest.approx(math.sqrt(2.5))
    assert errors['NAE_low'] == pytest.approx(2 / 50)

    levels = count_errors_by_class(pred, gt, COUNT_CLASSES['nwpu'])
    assert [levels[f'MAE_S{i}'] for i in range(5)] == [1, 3, 8, 16, 32]
    assert math.isnan(levels['NAE_S0'])


@pytest.mark.filterwarnings('error')
def test_class_without_images_is_nan():
    errors = count_errors_by_class([3], [2], {'few': (0, 9), 'many': (10, None)})
    assert errors['MAE_few'] == 1
    assert all(math.isnan(errors[f'{key}_many']) for key in ('MAE', 'RMSE', 'NAE'))


@settings(deadline=None)
@given(counts)
def test_classes_that_cover_everything_average_to_the_whole(pairs):
    pred, gt = (np.array(column) for column in zip(*pairs, strict=True))
    by_class = count_errors_by_class(pred, gt, COUNT_CLASSES['nwpu'])
    total = 0.0
    for name, (lowest, highest) in COUNT_CLASSES['nwpu'].items():
        members = np.sum((gt >= lowest) & (gt <= (math.inf if highest is None else highest)))
        total += members * by_class[f'MAE_{name}'] if members else 0
    assert total / len(pairs) == pytest.approx(count_errors(pred, gt)['MAE'])


@pytest.mark.parametrize(
    ('pred', 'gt', 'message'),
    [
        ([1, 2], [1], r'shapes \(2,\) and \(1,\)'),
        ([[1.0]], [[1]], r'shapes \(1, 1\) and \(1, 1\)'),
        ([1, float('nan')], [1, 2], r'pred\[1\] is nan'),
        ([1, 2], [float('inf'), 2], r'gt\[0\] is inf'),
        ([1, 2, 3], [1, 2, -1], r'gt\[2\] is -1.0, expected a finite number >= 0'),
    ],
)
def test_bad_counts(pred, gt, message):
    with pytest.raises(ValueError, match=message):
        count_errors(pred, gt)
    with pytest.raises(ValueError, match=message):
        count_errors_by_class(pred, gt, COUNT_CLASSES['jhu'])


def test_attribute_classes_hold_the_images_with_their_values():
    pred, gt = [11, 22, 34, 48, 60], [10, 20, 30, 40, 60]  # errors 1, 2, 4, 8, 0
    weather = [dict(weather=code) for code in (0, 1, 3, 2, 0)]
    errors = count_errors_by_attribute(pred, gt, weather, ATTRIBUTE_CLASSES['jhu'])
    assert errors == {
        'MAE_weather': pytest.approx(14 / 3),
        'RMSE_weather': pytest.approx(math.sqrt((4 + 16 + 64) / 3)),
        'NAE_weather': pytest.approx((2 / 20 + 4 / 30 + 8 / 40) / 3),
    }
    luminance = [dict(luminance=code, level=9) for code in (0, 2, 2, 0, 1)]
    errors = count_errors_by_attribute(pred, gt, luminance, ATTRIBUTE_CLASSES['nwpu'])
    assert [errors[f'MAE_L{code}'] for code in range(3)] == [4.5, 0, 3]
    assert math.isnan(errors['MAE_L3'])


def test_attributes_that_do_not_fit():
    classes = {'L0': ('luminance', (0,))}
    with pytest.raises(KeyError, match=r"attributes\[1\] has no 'luminance', only \['level'\]"):
        count_errors_by_attribute([1, 2], [1, 2], [dict(luminance=0), dict(level=1)], classes)
    with pytest.raises(ValueError, match='attributes has 1 entries, expected 2'):
        count_errors_by_attribute([1, 2], [1, 2], [dict(luminance=0)], classes)


@pytest.mark.filterwarnings('error')
def test_mean_over_classes_leaves_out_what_has_no_error():
    # S0: 3 of 0, S1: 10 of 50 and 0 of 100; nobody in the others.
    errors = count_errors_by_class([3, 60, 100], [0, 50, 100], COUNT_CLASSES['nwpu'])
    means = mean_over_classes(errors, COUNT_CLASSES['nwpu'])
    assert means['MAE'] == (3 + 5) / 2
    assert means['RMSE'] == pytest.approx((3 + math.sqrt(50)) / 2)
    assert means['NAE'] == pytest.approx(0.1)  # S0 has no relative error
    assert all(math.isnan(value) for value in mean_over_classes(errors, ['S3', 'S4']).values())


sides = st.integers(1, 40)
levels = st.integers(0, 3)


@given(sides, sides, st.sampled_from([1, 2, 3, 8]), levels, st.integers(0, 2**32 - 1))
def test_density_by_region_against_a_picture_of_its_pixels(height, width, stride, level, seed):
    cells = math.ceil(height / stride), math.ceil(width / stride)
    density = np.random.default_rng(seed).random(cells)
    # Every pixel is divided so finely that the borders of the regions lie between two parts.
    parts = 2**level
    fine = [np.arange(side * parts) // (stride * parts) for side in (height, width)]
    area = np.outer(*(np.bincount(index) for index in fine))
    picture = (density / area)[np.ix_(*fine)]
    expected = picture.reshape(parts, height, parts, width).sum((1, 3))
    regions = density_by_region(density, (height, width), stride, level)
    np.testing.assert_allclose(regions, expected, rtol=1e-9, atol=1e-12)
    assert regions.sum() == pytest.approx(density.sum())


@given(
    sides,
    sides,
    levels,
    st.lists(st.tuples(st.integers(-3, 90), st.integers(-3, 90))),
)
def test_points_by_region_against_a_loop(height, width, level, halves):
    points = [(x / 2, y / 2) for x, y in halves]
    parts = 2**level
    expected = np.zeros((parts, parts))
    for x, y in points:
        # The last region that starts at or before the point, in whole numbers.
        column = [k for k in range(parts) if 2 * k * width <= (2 * x + 1) * parts]
        row = [k for k in range(parts) if 2 * k * height <= (2 * y + 1) * parts]
        expected[row[-1] if row else 0, column[-1] if column else 0] += 1
    np.testing.assert_array_equal(points_by_region(points, (height, width), level), expected)


def test_game_hand_computed():
    # The quarters of 4 x 6 pixels: predicted 4, 0, 0, 2, true 3, 1, 0, 2.
    density = np.zeros((2, 3))
    density[0, 0], density[1, 2] = 4, 2
    pred = density_by_region(density, (4, 6), stride=2, level=1)
    truth = [[0, 0], [2, 0], [2, 1], [3, 0], [5, 3], [5, 2]]
    assert pred.tolist() == [[4, 0], [0, 2]]
    gt = points_by_region(truth, (4, 6), level=1)
    assert gt.tolist() == [[3, 1], [0, 2]]
    assert game([pred], [gt]) == 2
    assert game([pred, gt], [gt, gt]) == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_game_starts_at_the_mae_and_never_falls(seed, num_images):
    rng = np.random.default_rng(seed)
    densities = rng.random((num_images, 5, 7)) * rng.integers(0, 2, (num_images, 1, 1))
    points = [rng.random((n, 2)) * (53, 37) for n in rng.integers(0, 30, num_images)]
    values = [
        game(
            [density_by_region(density, (37, 53), 8, level) for density in densities],
            [points_by_region(p, (37, 53), level) for p in points],
        )
        for level in range(5)
    ]
    counts = densities.sum((1, 2)), [len(p) for p in points]
    assert values[0] == pytest.approx(count_errors(*counts)['MAE'])
    assert all(low <= high + 1e-9 for low, high in itertools.pairwise(values))


def test_game_of_what_does_not_fit():
    with pytest.raises(ValueError, match=r'shape \(3, 4\), expected \(3, 5\) for an image of'):
        density_by_region(np.zeros((3, 4)), (24, 33), stride=8, level=1)
    for level in (-1, 0.5):
        with pytest.raises(ValueError, match=f'level is {level}, expected a whole number >= 0'):
            points_by_region([[1, 2]], (8, 8), level)
    with pytest.raises(ValueError, match=r'got \(1, 2, 2\) and \(1, 1, 1\)'):
        game(np.zeros((1, 2, 2)), np.zeros((1, 1, 1)))
    assert math.isnan(game([], []))
