import math

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.analysis.case_counts import (
    CaseCounts,
    by_distance,
    case_table,
    density_counts,
    draw_cases,
    point_counts,
    result_cases,
    sample_cases,
)
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.structures import CrowdDataSample
from tests.testing.results import make_result


def first_nearest(x, y, points):
    """Place of the nearest point by looking at each of them; the first of several."""
    squares = [(x - px) ** 2 + (y - py) ** 2 for px, py in points]
    return squares.index(min(squares))


def neighbour_distance(place, points):
    """Distance to the nearest other point by looking at each of them."""
    (x, y), others = points[place], np.delete(points, place, 0)
    return min((math.hypot(x - px, y - py) for px, py in others), default=math.inf)


@pytest.mark.parametrize('seed, m, stride', [(0, 1, 2), (1, 7, 2), (2, 60, 4), (3, 200, 1)])
def test_density_against_every_cell_and_point(seed, m, stride):
    rng = np.random.default_rng(seed)
    density = rng.random((9, 12))
    points = rng.integers(0, 12 * stride, (m, 2)).astype(float)  # some coincide, some lie outside
    expected = np.zeros(m)
    for i in range(9):
        for j in range(12):
            x, y = (place * stride + (stride - 1) / 2 for place in (j, i))
            expected[first_nearest(x, y, points)] += density[i, j]
    counts = density_counts(density, points, stride)
    np.testing.assert_allclose(counts, expected)
    assert counts.sum() == pytest.approx(density.sum())


def test_points_against_every_pair():
    rng = np.random.default_rng(0)
    points, predicted = (rng.integers(0, 15, (k, 2)).astype(float) for k in (40, 70))
    expected = np.zeros(40)
    for x, y in predicted:
        expected[first_nearest(x, y, points)] += 1
    np.testing.assert_array_equal(point_counts(predicted, points), expected)


def make_sample(points, scale, **fields):
    """A sample whose input is the original image made smaller by a factor."""
    inside = (points + 0.5) * scale - 0.5
    sample = CrowdDataSample(
        metainfo=dict(img_id='a', img_shape=(8, 8), scale_factor=(scale, scale))
    )
    sample.gt_instances = InstanceData(points=torch.from_numpy(inside).float())
    for key, value in fields.items():
        sample.set_field(value, key)
    return sample


POINTS = np.array([[3.0, 3.0], [7.0, 3.0], [28.0, 28.0]])


def test_cells_of_the_input_and_distances_of_the_original_frame():
    density = torch.zeros(1, 4, 4)
    # In the input the first two points are (0.375, 0.375) and (1.375, 0.375): in one cell, of
    # which the centre (0.5, 0.5) is nearer to the first; the second has the next cell.
    density[0, 0, 0], density[0, 0, 1], density[0, 3, 3] = 0.5, 0.25, 1.5
    sample = make_sample(POINTS, 0.25, pred_density=PixelData(density=density))
    sample.set_metainfo(dict(density_stride=2))
    for given in (sample, sample.to_dict()):
        cases = sample_cases(given)
        np.testing.assert_allclose(cases.counts, [0.5, 0.25, 1.5])
        np.testing.assert_allclose(cases.distances, [4, 4, math.hypot(21, 25)])


def test_points_of_a_sample_and_of_results():
    predicted = np.array([[2.0, 9.0], [9.0, 2.0], [8.0, 3.0]])
    instances = InstanceData(points=torch.from_numpy(predicted).float())
    cases = sample_cases(make_sample(POINTS, 0.25, pred_instances=instances))
    np.testing.assert_array_equal(cases.counts, [1, 2, 0])

    nobody = make_result('b', np.zeros((0, 2)), predicted)
    alone = make_result('c', [[5, 5]], np.zeros((0, 2)))
    every = result_cases([make_result('a', POINTS, predicted), nobody, alone])
    np.testing.assert_array_equal(every.counts, [1, 2, 0, 0])
    expected = [neighbour_distance(k, POINTS) for k in range(3)]
    np.testing.assert_allclose(every.distances, [*expected, math.inf])


def test_what_is_lacking_is_named():
    with pytest.raises(KeyError, match="image 'a': .* needs pred_instances.* nor a pred_density"):
        sample_cases(make_sample(POINTS, 1.0))
    with pytest.raises(KeyError, match='needs gt_instances'):
        sample_cases(dict(img_id='a'))
    with pytest.raises(ValueError, match="image 'a': only a predicted count"):
        result_cases([ImageResult(img_id='a', pred_count=1.0, gt_points=POINTS)])


def test_bins_against_a_loop():
    rng = np.random.default_rng(0)
    distance = np.append(rng.integers(0, 25, 100), np.inf)  # many on an edge
    count = rng.random(101)
    bins = by_distance(CaseCounts(distance, count), width=4, bins=5)
    for place, low in enumerate((0, 4, 8, 12, 16)):
        high = math.inf if place == 4 else low + 4
        pairs = zip(distance, count, strict=True)
        members = [c for d, c in pairs if low <= d < high or d == high == math.inf]
        assert bins.number[place] == len(members)
        assert bins.mean[place] == pytest.approx(sum(members) / len(members))
    assert bins.number.sum() == 101
    with pytest.raises(ValueError, match='must be positive, but got width=0'):
        by_distance(CaseCounts(distance, count), width=0)


def test_table_and_picture():
    cases = CaseCounts(np.array([1.0, 3.0, 9.0]), np.array([0.5, 0.75, 1.25]))
    binned = dict(PML=by_distance(cases, bins=3), GL=by_distance(cases, bins=3))
    rows = [line.strip('| ').split(' | ') for line in case_table(binned).splitlines()]
    assert rows[0][1:] == ['PML: cases', 'PML: mean count', 'GL: cases', 'GL: mean count']
    assert rows[2] == ['0-4', '2', '0.6250', '2', '0.6250']
    assert [row[:3] for row in rows[3:]] == [['4-8', '0', 'nan'], ['8+', '1', '1.2500']]
    picture = draw_cases(binned)
    assert picture.dtype == np.uint8 and min(picture.shape[:2]) > 500
