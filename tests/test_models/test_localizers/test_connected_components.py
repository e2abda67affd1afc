import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmcrowd.models.localizers.connected_components import (
    ConnectedComponents,
    fill_empty_holes,
    grow,
    label,
    outline_centres,
)
from mmcrowd.registry import TASK_UTILS

STEPS = {4: [(0, 1), (1, 0), (0, -1), (-1, 0)]}
STEPS[8] = [*STEPS[4], (1, 1), (1, -1), (-1, 1), (-1, -1)]
MAPS = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)
)


def regions(cells, connectivity):
    """Lists of cells (row, column), by flood fill."""
    rest, found = set(map(tuple, np.argwhere(cells))), []
    while rest:
        queue, region = [rest.pop()], []
        while queue:
            row, column = queue.pop()
            region.append((row, column))
            for down, right in STEPS[connectivity]:
                near = (row + down, column + right)
                if near in rest:
                    rest.remove(near)
                    queue.append(near)
        found.append(region)
    return found


@settings(max_examples=30, deadline=None)
@given(MAPS, st.sampled_from([4, 8]), st.integers(1, 3), st.sampled_from([1, 4]), st.booleans())
def test_points_are_the_centres_of_the_regions(values, connectivity, min_area, stride, by_mass):
    centre = 'mass' if by_mass else 'mean'
    localizer = ConnectedComponents(
        2.0, connectivity=connectivity, min_area=min_area, centre=centre
    )
    points, scores = localizer(torch.from_numpy(values), stride)
    expected = []
    for region in regions(values >= 2, connectivity):
        if len(region) >= min_area:
            rows, columns = np.transpose(region)
            weights = values[rows, columns]
            place = [
                np.average(axis, weights=weights if by_mass else None) * stride + (stride - 1) / 2
                for axis in (columns, rows)
            ]
            expected.append((weights.max(), *place))
    actual = np.column_stack((scores, points)).reshape(-1, 3)
    order = np.lexsort(actual.T)
    expected = np.reshape(expected, (-1, 3))
    np.testing.assert_allclose(actual[order], expected[np.lexsort(expected.T)], atol=1e-4)
    # By falling score, then row, then column.
    keys = np.stack((points[:, 0], points[:, 1], -scores))
    assert (np.lexsort(keys) == np.arange(len(scores))).all()


@settings(max_examples=20, deadline=None)
@given(MAPS)
def test_hysteresis_keeps_the_groups_with_a_high_cell(values):
    expected = np.zeros(values.shape, bool)
    for region in regions(values >= 1, 4):
        if any(values[cell] >= 3 for cell in region):
            expected[tuple(np.transpose(region))] = True
    np.testing.assert_array_equal(grow(values >= 1, values >= 3), expected)
    points, _ = ConnectedComponents(1.0, high=3.0, connectivity=8)(torch.from_numpy(values), 1)
    assert len(points) == len(regions(expected, 8)) == label(expected, 8).max()


@pytest.mark.parametrize('image', range(2))
def test_published_topocount(golden_root, image):
    with np.load(golden_root / 'systems' / 'topocount.npz') as stored:
        likelihood = torch.as_tensor(stored[f'infer/{image}/likelihood'])
        count = stored[f'infer/{image}/count']
        n_contours = stored[f'infer/{image}/n_contours']
        numbers = stored[f'infer/{image}/labels']
        topology = stored[f'infer/{image}/topology']
        expected = stored[f'infer/{image}/points_xy']
    values = likelihood.numpy()
    np.testing.assert_array_equal(grow(values >= 0.4, values >= 0.5), topology > 0)
    localizer = ConnectedComponents(0.4, high=0.5, connectivity=8, centre='outline')
    points, _ = localizer(likelihood, 1)
    assert len(points) == count == n_contours
    # The program has no points, but numbers, for regions whose outline has no area.
    regions = label(topology > 0, 8)
    # Theirs are numbered in another order.
    pairs = np.unique(np.stack([regions.ravel(), numbers.ravel()]), axis=1)
    assert pairs.shape[1] == count + 1 and all(len(set(row)) == count + 1 for row in pairs.tolist())
    centres = outline_centres(regions, regions.max())
    assert set(map(tuple, expected.tolist())) <= set(map(tuple, points.round().tolist()))
    centres = centres[~np.isnan(centres).any(1)].round()
    assert sorted(centres.tolist()) == sorted(expected.tolist())


def test_outline_of_rings_and_lines():
    """A ring has its middle, a region inside of it its own, and a line its mean."""
    values = torch.zeros(9, 12)
    values[0:7, 0:7] = 1
    values[1:6, 2:6] = 0  # one side is thicker
    values[2:5, 3:5] = 1  # inside
    values[0, 9:12] = 1  # a line
    localizer = ConnectedComponents(0.5, connectivity=8, centre='outline')
    points, _ = localizer(values, 1)
    assert sorted(points.tolist()) == [[3, 3], [3.5, 3], [10, 0]]
    means, _ = ConnectedComponents(0.5, connectivity=8)(values, 1)
    assert (means != points).any(1).sum() == 1
    assert localizer(torch.zeros(3, 3), 1)[0].shape == (0, 2)


def outline_centres_of_all_contours(labels, number):
    """With the outlines of all holes too, none of which is filled."""
    centres = np.full((number, 2), np.nan)
    mask = (labels > 0).astype(np.uint8)
    contours, levels = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour, (*_, parent) in zip(contours, [] if levels is None else levels[0], strict=True):
        moments = cv2.moments(contour)
        if parent < 0 and moments['m00'] > 0:
            x, y = contour[0, 0]
            centre = moments['m10'] / moments['m00'], moments['m01'] / moments['m00']
            centres[labels[y, x] - 1] = centre
    return centres


def check_outlines(cells):
    labels = label(cells, 8)
    number = labels.max(initial=0)
    expected = outline_centres_of_all_contours(labels, number)
    np.testing.assert_array_equal(outline_centres(labels, number), expected)
    filled = fill_empty_holes(labels) > 0
    # Holes are filled but for those in which there is another region.
    for hole in regions(~cells, 4):
        inside = not any(
            row in (0, cells.shape[0] - 1) or column in (0, cells.shape[1] - 1)
            for row, column in hole
        )
        near = {
            labels[row + down, column + right]
            for row, column in hole
            for down, right in STEPS[4]
            if inside
        }
        assert filled[tuple(np.transpose(hole))].tolist() == [len(near - {0}) == 1] * len(hole)
    assert filled[cells].all()


@settings(max_examples=200, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_outlines_with_the_holes_filled(cells):
    check_outlines(cells)


@pytest.mark.parametrize('share', [0.3, 0.45, 0.6, 0.8, 0.95])
def test_outlines_of_noise(share):
    check_outlines(np.random.default_rng(0).random((90, 70)) < share)


def test_outlines_of_rings_in_rings():
    rows, columns = np.ogrid[-20:21, -20:21]
    away = np.maximum(abs(rows), abs(columns))
    check_outlines(away % 2 == 0)
    check_outlines(away % 4 < 2)
    check_outlines((away % 4 < 2) & ((rows + columns) % 5 > 0))


def test_threshold_of_each_cell():
    values = torch.tensor([[0.5, 0.5, 0.5]])
    outputs = dict(map=values, limit=torch.tensor([[0.5, 0.6, 0.4]]))
    points, _ = ConnectedComponents('limit', source='map')(outputs, 1)
    assert points.tolist() == [[0, 0], [2, 0]]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_threshold_of_each_cell_in_other_types(dtype):
    outputs = dict(map=torch.tensor([[0.25, 0.5, 0.0, 0.75]], dtype=dtype))
    outputs['limit'] = torch.tensor([[0.5, 0.5, 0.5, 0.5]], dtype=dtype)
    points, scores = ConnectedComponents('limit', source='map')(outputs, 1)
    assert points.tolist() == [[3, 0], [1, 0]] and scores.tolist() == [0.75, 0.5]


def test_the_mass_of_zeros_is_at_their_mean():
    points, scores = ConnectedComponents(0.0, centre='mass')(torch.zeros(3, 5), 1)
    assert points.tolist() == [[2, 1]] and scores.tolist() == [0]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_types(dtype):
    density = torch.zeros(4, 4, dtype=dtype)
    density[1:3, 1:3] = 1
    points, scores = TASK_UTILS.build(dict(type='mmcrowd.ConnectedComponents'))(density, 2)
    assert points.dtype == scores.dtype == torch.float32
    assert points.tolist() == [[3.5, 3.5]]


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='connectivity=6'):
        ConnectedComponents(connectivity=6)
    with pytest.raises(ValueError, match="centre='peak'"):
        ConnectedComponents(centre='peak')
    for min_area in (0, 1.5, float('nan'), None, True):
        with pytest.raises(ValueError, match=f'min_area={min_area}, expected a whole number of at'):
            ConnectedComponents(min_area=min_area)
    for value in (None, float('nan'), float('inf'), True, [0.5]):
        with pytest.raises(ValueError, match=r'threshold=.*, expected a finite number or the name'):
            ConnectedComponents(value)
    for value in ('high', float('nan'), -float('inf')):
        with pytest.raises(ValueError, match=r'high=.*, expected a finite number or None'):
            ConnectedComponents(high=value)
    with pytest.raises(ValueError, match=r'high=0.3, expected at least threshold=0.4'):
        ConnectedComponents(0.4, high=0.3)
    for number in (np.float32(0.5), np.int64(1)):
        ConnectedComponents(number, high=number, min_area=np.int64(3))
    ConnectedComponents('limit', high=0.3)
    with pytest.raises(TypeError, match="threshold='limit' is an output"):
        ConnectedComponents('limit')(torch.zeros(2, 2), 1)
    outputs = dict(density=torch.zeros(2, 2), limit=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r'shape \(2, 3\), but .density. has \(2, 2\)'):
        ConnectedComponents('limit')(outputs, 1)
    with pytest.raises(KeyError, match="source='other' is none of the outputs"):
        ConnectedComponents('other')(dict(density=torch.zeros(2, 2)), 1)
    with pytest.raises(ValueError, match='not negative, but got -1'):
        ConnectedComponents(-2, centre='mass')(-torch.ones(1, 1), 1)
