import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.evaluation.functional import COUNT_CLASSES, count_errors, count_errors_by_class

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
