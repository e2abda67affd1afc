import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.ops.neighbours import nearest_neighbour_distances, neighbour_distances


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
