import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.ops.neighbours import (
    mean_cell_distances,
    nearest_neighbour_distances,
    nearest_points,
    neighbour_distances,
)


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(0, 30), number=st.integers(1, 5))
def test_against_all_distances(seed, m, number):
    points = np.random.default_rng(seed).integers(0, 12, (m, 2)).astype(np.float32)  # some coincide
    every = np.sort(np.hypot(*(points[:, None] - points).T.astype(float)), axis=1)
    found = neighbour_distances(points, number)
    np.testing.assert_allclose(found, every[:, 1 : number + 1])
    assert found.dtype == np.float64
    if m > 1:
        np.testing.assert_allclose(nearest_neighbour_distances(points), every[:, 1])


def test_a_point_that_is_alone():
    assert nearest_neighbour_distances(np.zeros((1, 2))).tolist() == [np.inf]
    assert neighbour_distances(np.zeros((1, 2)), 3).shape == (1, 0)


def test_a_point_that_is_not_finite():
    with pytest.raises(ValueError, match='must be finite'):
        neighbour_distances(np.array([[0.0, np.nan], [1.0, 1.0]]), 1)


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 40), side=st.sampled_from([2, 5, 30]))
def test_nearest_points_and_ties(seed, m, side):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, side, (m, 2)).astype(float)  # many coincide, many are equally far
    positions = rng.integers(-1, side + 1, (25, 2)) / 2
    square = ((positions[:, None] - points) ** 2).sum(-1)
    np.testing.assert_array_equal(nearest_points(positions, points), square.argmin(1))


def test_nearest_of_no_points():
    assert nearest_points(np.zeros((0, 2)), np.zeros((1, 2))).shape == (0,)
    with pytest.raises(ValueError, match='at least one point, but got 0'):
        nearest_points(np.zeros((1, 2)), np.zeros((0, 2)))


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 12),
    number=st.integers(1, 5),
    stride=st.sampled_from([1, 4]),
)
def test_cells_against_all_distances(seed, m, number, stride):
    points = np.random.default_rng(seed).integers(-3, 30, (m, 2)) / 2  # some coincide
    found = mean_cell_distances(points, (4, 5), stride, number)
    assert found.shape == (4, 5)
    for i, j in np.ndindex(4, 5):
        centre = np.array([j, i]) * stride + (stride - 1) / 2
        nearest = np.sort(np.hypot(*(points - centre).T))[:number]
        assert found[i, j] == pytest.approx(nearest.mean() if m else np.inf)
