import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmcrowd.models.localizers.local_maximum import LocalMaximum, join_neighbours, sliding_max
from mmcrowd.registry import TASK_UTILS


def regional_maxima(values):
    """Plateaus with no higher neighbour, by flood fill: their cells and value."""
    h, w = values.shape
    seen, found = set(), []
    for start in np.ndindex(h, w):
        if start in seen or values[start] <= 0:
            continue
        plateau, highest, queue = [], True, [start]
        seen.add(start)
        while queue:
            i, j = queue.pop()
            plateau.append((i, j))
            for k in range(max(i - 1, 0), min(i + 2, h)):
                for m in range(max(j - 1, 0), min(j + 2, w)):
                    if values[k, m] > values[i, j]:
                        highest = False
                    elif values[k, m] == values[i, j] and (k, m) not in seen:
                        seen.add((k, m))
                        queue.append((k, m))
        if highest:
            found.append((values[start], *np.mean(plateau, 0)))
    return found


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 4)),
    st.sampled_from([1, 2, 8]),
)
def test_points_are_the_regional_maxima(values, stride):
    points, scores = LocalMaximum(threshold=2)(torch.from_numpy(values), stride)
    offset = (stride - 1) / 2
    expected = [
        (value, j * stride + offset, i * stride + offset)
        for value, i, j in regional_maxima(values)
        if value >= 2
    ]
    actual = sorted(torch.column_stack((scores, points)).tolist())
    expected = np.reshape(sorted(expected), (-1, 3))
    np.testing.assert_allclose(np.reshape(actual, (-1, 3)), expected, atol=1e-4)
    assert (scores.diff() <= 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 4]))
def test_separated_heads_are_found_within_half_a_cell(seed, stride):
    rng = np.random.default_rng(seed)
    place = np.arange(6)
    heads = np.stack((place % 3, place // 3), 1) * 12 + 5.5 + rng.uniform(-2, 2, (6, 2))
    columns, rows = (
        np.exp(-((np.arange(n)[:, None] - h) ** 2) / 8)
        for n, h in zip((36, 24), heads.T, strict=True)
    )
    density = torch.from_numpy(rows @ columns.T / (8 * math.pi))
    for mode in ('absolute', 'relative', 'adaptive'):
        points, _ = LocalMaximum(mode=mode, clamp=0.1)(density, stride)
        cells = (points.double() - (stride - 1) / 2) / stride
        nearest = np.abs(cells[:, None].numpy() - heads).max(-1)
        assert len(points) == 6
        # the blobs overlap a little, so a hair beyond a half
        assert nearest.min(0).max() < 0.52
        assert sorted(nearest.argmin(0)) == list(range(6))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_constant_map_is_one_point_or_none(dtype):
    density = torch.full((5, 8), 0.3, dtype=dtype)
    points, scores = LocalMaximum()(density, 4)
    torch.testing.assert_close(points, torch.tensor([[15.5, 9.5]]))
    torch.testing.assert_close(scores, torch.tensor([0.3]), atol=2e-3, rtol=0)
    for value in (0.0, -1.0):
        points, scores = LocalMaximum(threshold=0)(density * 0 + value, 4)
        assert points.shape == (0, 2) and scores.shape == (0,)
        assert points.dtype == scores.dtype == torch.float32


def test_a_step_in_a_slope_is_no_point():
    density = torch.tensor([[0.0, 1, 1, 1, 1, 2, 0]])
    points, scores = LocalMaximum()(density, 1)
    assert points.tolist() == [[5, 0]] and scores.tolist() == [2]


def test_ties_of_a_short_type_are_one_point():
    y, x = torch.meshgrid(torch.arange(15.0), torch.arange(15.0), indexing='ij')
    density = torch.exp(-((x - 7) ** 2 + (y - 7) ** 2) / 5000).bfloat16()
    assert (density == 1).sum() > 9
    points, _ = LocalMaximum()(density, 2)
    assert points.tolist() == [[14.5, 14.5]]


def test_window_sets_how_near_two_points_may_be():
    density = torch.zeros(9, 9)
    density[4, 2], density[4, 4], density[4, 6] = 3, 2, 3
    assert len(LocalMaximum()(density, 1)[0]) == 3
    assert LocalMaximum(window=5)(density, 1)[0].tolist() == [[2, 4], [6, 4]]
    density[4, 4] = 3
    assert LocalMaximum(window=5)(density, 1)[0].tolist() == [[4, 4]]


def test_absolute_threshold_is_in_persons_per_cell():
    density = torch.zeros(9, 9)
    density[1, 1], density[1, 7], density[7, 1] = 0.3, 0.2, 0.1
    points, scores = TASK_UTILS.build(dict(type='LocalMaximum', threshold=0.2))(density, 2)
    assert points.tolist() == [[2.5, 2.5], [14.5, 2.5]]
    torch.testing.assert_close(scores, torch.tensor([0.3, 0.2]))


def test_relative_threshold_goes_by_the_patch():
    density = torch.zeros(1, 100)
    density[0, 10], density[0, 14], density[0, 60] = 1.0, 0.15, 0.15
    points, _ = LocalMaximum(0.2, 'relative', patch=64, clamp=0.5)(density, 2)
    # 0.15 < 0.2 of the 1 nearby, but far from it only noise below 0.2 * 0.5 of a head is refused
    assert points[:, 0].tolist() == [20.5, 120.5]
    # 16 cells to each side see the peak, 17 do not
    for distance, number in ((16, 1), (17, 2)):
        density = torch.zeros(1, 100)
        density[0, 10], density[0, 10 + distance] = 1.0, 0.15
        points, _ = LocalMaximum(0.2, 'relative', patch=64, clamp=0.5)(density, 2)
        assert len(points) == number


@pytest.mark.parametrize('stride', [1, 2, 8])
def test_relative_threshold_is_clamped_by_a_gaussian_head(stride):
    fine = np.arange(-stride / 2, stride / 2, 0.001) + 0.0005
    head = (np.exp(-(fine**2) / 32).sum() * 0.001) ** 2 / (32 * math.pi)
    for factor, number in ((0.99, 0), (1.01, 1)):
        density = torch.zeros(5, 5, dtype=torch.float64)
        density[2, 2] = factor * 0.5 * 0.2 * head
        assert len(LocalMaximum(0.2, 'relative', clamp=0.5)(density, stride)[0]) == number


def test_adaptive_threshold_goes_by_the_map():
    density = torch.zeros(9, 9)
    density[1, 1], density[1, 7], density[7, 1] = 0.51, 0.21, 0.19  # 0.51 * 100 / 255 = 0.2
    assert len(LocalMaximum(mode='adaptive')(density, 2)[0]) == 2
    assert len(LocalMaximum(mode='adaptive', floor=0.5)(density, 2)[0]) == 2
    assert len(LocalMaximum(mode='adaptive', floor=0.52)(density, 2)[0]) == 0


def test_every_cell_of_a_plateau_is_a_point_if_not_joined():
    density = torch.tensor([[0.0, 2, 2, 0, 1, 1, 2, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
    points, scores = LocalMaximum(join=False)(density, 1)
    assert sorted(points.tolist()) == [[1, 0], [2, 0], [4, 0], [6, 0]]
    assert scores.tolist() == [2, 2, 2, 1]
    assert LocalMaximum()(density, 1)[0].tolist() == [[1.5, 0], [6, 0]]
    assert LocalMaximum(threshold=2, join=False)(density, 1)[0].tolist() == [[1, 0], [2, 0], [6, 0]]


def test_smoothed_before_the_search():
    density = torch.zeros(9, 9)
    density[4, 3], density[4, 5] = 0.9, 0.9
    points, scores = LocalMaximum(smooth=3)(density, 1)
    # The cells between two heads see both.
    assert points.tolist() == [[4, 4]]
    torch.testing.assert_close(scores, torch.tensor([0.2]))
    # At the border zeros take part in the mean.
    corner = torch.full((1, 1), 0.9)
    torch.testing.assert_close(LocalMaximum(smooth=3)(corner, 1)[1], torch.tensor([0.1]))


def test_adaptive_threshold_is_that_of_the_map_before_smoothing():
    density = torch.zeros(9, 9)
    density[2, 2] = 0.9  # 0.1 when smoothed, against 0.9 * 100 / 255 or 0.1 * 100 / 255
    assert len(LocalMaximum(mode='adaptive', smooth=3)(density, 1)[0]) == 0
    density[1:4, 1:4] = 0.9
    points, _ = LocalMaximum(mode='adaptive', floor=0.5, smooth=3)(density, 1)
    assert points.tolist() == [[2, 2]]


def test_reads_the_named_output():
    density, other = torch.zeros(2, 5, 5)
    density[1, 2], other[3, 4] = 1, 1
    outputs = dict(density=density, map=other)
    assert LocalMaximum()(outputs, 1)[0].tolist() == [[2, 1]]
    assert LocalMaximum(source='map')(outputs, 1)[0].tolist() == [[4, 3]]
    with pytest.raises(KeyError, match=r"source='mask'.*\['density', 'map'\]"):
        LocalMaximum(source='mask')(outputs, 1)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-9, 9)),
    st.integers(0, 6),
)
def test_sliding_max_is_the_maximum_of_slices(values, half):
    actual = sliding_max(torch.from_numpy(values), 2 * half + 1)
    for i, j in np.ndindex(values.shape):
        window = values[max(i - half, 0) : i + half + 1, max(j - half, 0) : j + half + 1]
        assert actual[i, j] == window.max()


def test_groups_are_numbered_by_their_first_cells():
    cells = np.array([[0, 5], [0, 9], [1, 4], [2, 10], [2, 3], [4, 9]])
    assert join_neighbours(cells, 1).tolist() == [0, 1, 0, 2, 0, 3]
    assert join_neighbours(cells, 2).tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    'density, stride, message',
    [
        (torch.zeros(4), 2, r'\(4,\)'),
        (torch.tensor([[1.0, torch.nan]], dtype=torch.bfloat16), 2, '1 of 2 cells'),
        (torch.zeros(4, 4), 1.5, 'stride .* 1.5'),
    ],
)
def test_what_is_no_density_is_refused(density, stride, message):
    with pytest.raises(ValueError, match=f'LocalMaximum.*{message}'):
        LocalMaximum()(density, stride)


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(mode='both'), "'both'"),
        (dict(window=4), '4'),
        (dict(window=1), '1'),
        (dict(smooth=2), 'smooth .* 2'),
        (dict(smooth=-1), 'smooth .* -1'),
        (dict(blur=-1), 'blur must not be negative, but got -1'),
        (dict(threshold=-0.1), 'threshold must not be negative, but got -0.1'),
        (dict(threshold=math.nan), 'threshold must not be negative, but got nan'),
        (dict(patch=0), 'patch must be positive, but got 0'),
        (dict(patch=-5), 'patch must be positive, but got -5'),
        (dict(clamp=-1), 'clamp must not be negative, but got -1'),
        (dict(floor=-1), 'floor must not be negative, but got -1'),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        LocalMaximum(**wrong)
