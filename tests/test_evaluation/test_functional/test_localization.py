import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mmcrowd.evaluation.functional.localization import (
    localization_scores,
    match_heads,
    match_points,
    match_points_at_radii,
)


def reach(pred, gt, radius):
    """``(m, k)`` dense table of the edges."""
    pred, gt = np.asarray(pred, float).reshape(-1, 2), np.asarray(gt, float).reshape(-1, 2)
    radius = np.broadcast_to(np.asarray(radius, float), len(gt))
    squared = ((gt[:, None] - pred[None]) ** 2).sum(-1)
    return squared <= radius[:, None] ** 2


def size_by_augmenting(edges):
    """Size of a maximum matching: one augmenting path after the other, edge by edge."""
    partner = {}

    def place(row, seen):
        for column in np.flatnonzero(edges[row]).tolist():
            if column not in seen:
                seen.add(column)
                if column not in partner or place(partner[column], seen):
                    partner[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in range(len(edges)))


def size_by_assignment(edges):
    rows, columns = linear_sum_assignment(edges, maximize=True)
    return int(edges[rows, columns].sum())


def checked_size(pred, gt, radius, matching=None):
    """Size of the matching, after a look at each of its pairs."""
    pred_index, gt_index = match_points(pred, gt, radius) if matching is None else matching
    assert pred_index.shape == gt_index.shape
    assert pred_index.dtype == gt_index.dtype == np.int64
    assert len(set(pred_index.tolist())) == len(pred_index)
    assert (np.diff(gt_index) > 0).all()
    assert reach(pred, gt, radius)[gt_index, pred_index].all()
    return len(gt_index)


def integers(rng):
    side = rng.integers(1, 9)
    gt, pred = (rng.integers(0, side, (rng.integers(0, 12), 2)) for _ in range(2))
    return pred, gt, int(rng.integers(0, 4))


def floats(rng):
    gt, pred = (rng.random((rng.integers(0, 12), 2)) * 10 for _ in range(2))
    return pred, gt, rng.random() * 4


def radius_per_point(rng):
    pred, gt, _ = integers(rng)
    return pred, gt, rng.integers(0, 6, len(gt))


def wide_and_narrow_radii(rng):
    pred, gt, _ = floats(rng)
    return pred, gt, np.where(rng.random(len(gt)) < 0.5, 0.7, 10 ** rng.uniform(-2, 2, len(gt)))


def duplicates(rng):
    places = rng.integers(0, 5, (3, 2))
    gt, pred = (places[rng.integers(0, 3, rng.integers(0, 12))] for _ in range(2))
    return pred, gt, int(rng.integers(0, 3))


def dense_clusters(rng):
    """Several points within each radius, in a strip: long augmenting paths."""
    gt, pred = (rng.random((rng.integers(8, 16), 2)) * (12, 1) for _ in range(2))
    return pred, gt, rng.uniform(0.3, 2)


@pytest.mark.parametrize(
    'make',
    [integers, floats, radius_per_point, wide_and_narrow_radii, duplicates, dense_clusters],
    ids=lambda make: make.__name__,
)
def test_maximum_cardinality(make):
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(400):
        pred, gt, radius = make(rng)
        size = checked_size(pred, gt, radius)
        assert size == size_by_augmenting(reach(pred, gt, radius))
        sizes.add(size)
    assert len(sizes) > 5


@pytest.mark.parametrize('candidates', [2, 6, 20])
@pytest.mark.parametrize('num_pred, num_gt', [(300, 300), (200, 350), (350, 200)])
def test_maximum_cardinality_of_crowds(num_pred, num_gt, candidates):
    rng = np.random.default_rng(candidates)
    pred, gt = rng.random((num_pred, 2)), rng.random((num_gt, 2))
    radius = np.sqrt(candidates / np.pi / num_pred)
    size = checked_size(pred, gt, radius)
    assert size == size_by_assignment(reach(pred, gt, radius))


point = st.tuples(st.integers(-3, 3), st.integers(-3, 3))


@given(st.lists(point, max_size=8), st.lists(point, max_size=8), st.integers(0, 4))
def test_properties(pred, gt, radius):
    size = checked_size(pred, gt, radius)
    assert size == size_by_assignment(reach(pred, gt, radius))
    assert size == checked_size(gt, pred, radius)
    assert size <= checked_size(pred, gt, radius + 1)


@given(
    st.lists(point, max_size=8),
    st.lists(point, max_size=8),
    st.lists(st.integers(0, 6), max_size=4),
)
def test_several_radii_in_any_order(pred, gt, radii):
    matchings = match_points_at_radii(pred, gt, radii)
    sizes = [checked_size(pred, gt, r, m) for r, m in zip(radii, matchings, strict=True)]
    assert sizes == [len(match_points(pred, gt, radius)[0]) for radius in radii]


def test_both_kinds_of_radii_at_once():
    rng = np.random.default_rng(0)
    pred, gt = rng.random((60, 2)) * 20, rng.random((50, 2)) * 20
    radii = [rng.random(50) * 2, 1.0, rng.random(50) * 4]
    for radius, matching in zip(radii, match_points_at_radii(pred, gt, radii), strict=True):
        size = checked_size(pred, gt, radius, matching)
        assert size == size_by_assignment(reach(pred, gt, radius))


def test_one_path_through_the_whole_chain():
    # Each true point reaches the predictions on both sides, the first has only one.
    steps = np.arange(200.0)
    gt, pred = np.stack([2 * steps, 0 * steps], 1), np.stack([2 * steps + 1, 0 * steps], 1)
    order = np.random.default_rng(0).permutation(200)
    assert checked_size(pred, gt[order], 1) == 200
    assert checked_size(pred[:-1], gt[order], 1) == 199


def test_boundary_is_included_and_exact():
    # One pair per place, far from each other and from the origin; sides 3, 4, 5.
    rng = np.random.default_rng(0)
    factor = rng.integers(1, 30, 200)
    gt = np.stack([20_000 + 500 * np.arange(200), rng.integers(0, 30_000, 200)], 1)
    pred = gt + np.array([3, -4]) * factor[:, None]
    assert checked_size(pred, gt, 5 * factor) == 200
    assert checked_size(pred + [1, 0], gt, 5 * factor) == 0
    below = np.nextafter(5.0 * factor, 0)
    assert checked_size(pred, gt, below) == 0


def test_radius_is_that_of_the_true_point():
    pred_index, gt_index = match_points([[0, 0], [10, 0]], [[2, 0], [12, 0]], [1, 2])
    assert (pred_index.tolist(), gt_index.tolist()) == ([1], [1])


def test_empty_sides():
    for pred, gt in (([], [[1, 2]]), ([[1, 2]], []), ([], []), (np.empty((0, 2)), [[1, 2]])):
        assert checked_size(pred, gt, 5) == 0
    assert match_points_at_radii([[0, 0]], [[0, 0]], []) == []


def test_arguments_are_kept():
    pred, gt, radius = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32), np.ones(2)
    for array in (pred, gt, radius):
        array.setflags(write=False)
    assert checked_size(pred, gt, radius) == 2


@pytest.mark.parametrize(
    'pred, gt, radius, message',
    [
        ([[0, 0, 0]], [[0, 0]], 1, r'pred has shape \(1, 3\), expected \(n, 2\)'),
        ([[0, 0]], [0, 0], 1, r'gt has shape \(2,\), expected \(n, 2\)'),
        ([[0, 0], [0, float('nan')]], [[0, 0]], 1, r'pred\[1\] is \[0.0, nan\], expected finite'),
        ([[0, 0]], [[0, 0]], -1, r'radius is -1.0, expected finite numbers >= 0'),
        ([[0, 0]], [[0, 0], [1, 1]], [1, float('inf')], 'radius is inf'),
        ([[0, 0]], [[0, 0]], [1, 2], r'radius has shape \(2,\), expected one number or \(1,\)'),
    ],
)
def test_bad_arguments(pred, gt, radius, message):
    with pytest.raises(ValueError, match=message):
        match_points(pred, gt, radius)


def test_scores_by_hand():
    assert localization_scores(6, 2, 6) == pytest.approx({'P': 3 / 4, 'R': 1 / 2, 'F1': 3 / 5})


@pytest.mark.parametrize(
    'counts, expected',
    [
        ((0, 0, 0), (np.nan, np.nan, np.nan)),
        ((0, 0, 5), (np.nan, 0, 0)),
        ((0, 5, 0), (0, np.nan, 0)),
        ((0, 5, 5), (0, 0, 0)),
        ((5, 0, 0), (1, 1, 1)),
    ],
)
def test_scores_without_a_denominator(counts, expected):
    np.testing.assert_equal(tuple(localization_scores(*counts).values()), expected)


def test_negative_counts():
    with pytest.raises(ValueError, match='tp, fp, fn are 3, -1, 0'):
        localization_scores(3, -1, 0)


def test_heads_are_matched_in_whole_pixels():
    # 5.4 px away, and 4.5 px, of which half to even makes 4.
    pred, gt = [[5.4, 0], [104.5, 0]], [[0, 0], [100, 0]]
    small, large = match_heads(pred, gt, [[4.4, 4.6], [3.6, 5.4]])
    assert small[1].tolist() == [1] and large[1].tolist() == [0, 1]
    ((pred_index, gt_index),) = match_heads(pred, gt, [[0, 5], [0, 3]], ['sigma_l'])
    assert pred_index.tolist() == gt_index.tolist() == [0]
    assert match_heads([], [], [])[0][0].shape == (0,)
    with pytest.raises(ValueError, match=r'radius has shape \(1,\)'):
        match_heads(pred, gt, [[1, 2]])
