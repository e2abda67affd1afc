import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from mmcrowd.ops.polygons import (
    crosses,
    cumulate,
    find_self_contact,
    fit_homography,
    map_points,
    point_within,
    points_inside,
    polygon_area,
    signed_area,
    sum_inside,
)

seeds = st.integers(0, 2**32 - 1)


def star(rng, corners, size):
    """A simple ring around the middle of a rectangle (w, h), not convex, in any direction."""
    # The last three leave no gap of half a turn: the ring goes around the middle.
    angles = np.append(rng.uniform(0, 2 * np.pi, corners), np.arange(3) * 2 * np.pi / 3)
    angles = np.sort(angles)
    ring = np.stack((np.cos(angles), np.sin(angles)), 1) * rng.uniform(0.1, 0.6, (len(angles), 1))
    ring = (0.5 + ring) * size
    return ring[:: rng.choice((-1, 1))]


def clipped(ring, axis, bound, sign):
    """Sutherland and Hodgman: the part of a ring with sign * coordinate <= sign * bound."""
    result = []
    for a, b in zip(ring, np.roll(ring, -1, 0), strict=True):
        inside = [sign * point[axis] <= sign * bound for point in (a, b)]
        if inside[0]:
            result.append(a)
        if inside[0] != inside[1]:
            result.append(a + (b - a) * (bound - a[axis]) / (b[axis] - a[axis]))
    return np.array(result).reshape(-1, 2)


def share_of_cell(ring, left, right, top, bottom):
    for axis, bound, sign in ((0, left, -1), (0, right, 1), (1, top, -1), (1, bottom, 1)):
        ring = clipped(ring, axis, bound, sign)
    if not len(ring):
        return 0.0
    x, y = ring.T
    area = abs(sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    return area / ((right - left) * (bottom - top))


def sum_by_clipping(values, ring, x_edges, y_edges):
    return sum(
        value * share_of_cell(ring, *x_edges[j : j + 2], *y_edges[i : i + 2])
        for (i, j), value in np.ndenumerate(values)
    )


@given(seed=seeds, corners=st.integers(0, 12), h=st.integers(1, 4), w=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_sum_is_that_of_each_cell_by_its_clipped_area(seed, corners, h, w):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(h, w))
    # Cells of different widths, and stars that reach beyond the map.
    edges = [np.cumsum(rng.uniform(0.3, 2, n + 1)) for n in (w, h)]
    extent = np.array([edges[0][-1], edges[1][-1]])
    outer = star(rng, corners, extent)
    hole = extent / 2 + (outer - extent / 2) * 0.4
    expected = [sum_by_clipping(values, ring, *edges) for ring in (outer, hole)]
    cumulated = cumulate(values)
    found = [sum_inside(cumulated, [ring], *edges) for ring in (outer, hole[::-1])]
    assert found == pytest.approx(expected, abs=1e-9)
    both = sum_inside(cumulated, [outer, hole], *edges)
    assert both == pytest.approx(expected[0] - expected[1], abs=1e-9)
    assert polygon_area([outer, hole]) == pytest.approx(0.84 * abs(signed_area(outer)))


def triangulation(rng, corners, w, h):
    """Triangles that part the rectangle (w, h), many with corners and sides on a grid of cells."""
    inner = rng.uniform(0, 1, (corners, 2)) * [w, h]
    inner = np.where(rng.random((corners, 1)) < 0.5, inner.round(), inner)
    points = np.unique(np.concatenate((inner, [[0, 0], [w, 0], [0, h], [w, h]])), axis=0)
    return [points[triangle] for triangle in Delaunay(points).simplices]


@given(seed=seeds, corners=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_a_partition_adds_up_and_each_point_is_in_one_part(seed, corners):
    rng = np.random.default_rng(seed)
    w, h = 9, 6
    parts = triangulation(rng, corners, w, h)
    values = rng.exponential(100, (h, w))
    sums = [sum_inside(cumulate(values), [p], np.arange(w + 1), np.arange(h + 1)) for p in parts]
    assert sum(sums) == pytest.approx(values.sum(), rel=1e-12)
    # Whole numbers are on corners and sides; those at the right and lower edge are left out.
    points = np.concatenate((rng.integers(0, (w, h), (50, 2)), rng.uniform(0, (w, h), (50, 2))))
    inside = np.array([points_inside(points, [part]) for part in parts])
    assert (inside.sum(0) == 1).all()
    assert all(points_inside(point_within([part]), [part])[0] for part in parts)


@given(seed=seeds, corners=st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_points_inside_are_those_of_opencv(seed, corners):
    rng = np.random.default_rng(seed)
    ring = star(rng, corners, (20, 10)).astype(np.float32)
    hole = (10, 5) + (ring - (10, 5)) * np.float32(0.4)
    points = rng.uniform(-2, 22, (60, 2))
    expected = [
        [
            cv2.pointPolygonTest(each[:, None].astype(np.float32), point, False) > 0
            for point in points
        ]
        for each in (ring, hole)
    ]
    inside = points_inside(points, [ring, hole])
    assert (inside == (np.array(expected[0]) & ~np.array(expected[1]))).all()
    assert points_inside(point_within([ring, hole]), [ring, hole])[0]


@given(seed=seeds, corners=st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_contact_is_found_after_two_corners_change_places(seed, corners):
    rng = np.random.default_rng(seed)
    assert find_self_contact(star(rng, corners, (20, 10))) is None
    turn = np.sort(rng.uniform(0, 2 * np.pi, 4))
    convex = np.stack((np.cos(turn), np.sin(turn)), 1)
    assert find_self_contact(convex) is None
    assert find_self_contact(convex[[0, 2, 1, 3]]) in ((0, 2), (1, 3))


@pytest.mark.parametrize(
    'ring, sides',
    [
        ([[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]], (0, 2)),  # a corner on a side
        ([[0, 0], [4, 0], [2, 2], [4, 4], [0, 4], [2, 2]], (1, 4)),  # two corners in one place
        ([[0, 0], [4, 0], [4, 4], [4, 1]], (1, 2)),  # back along a side
        ([[0, 0], [3, 0], [3, 1], [2, 1], [2, 0], [1, 0], [1, 1]], (0, 3)),  # sides on one line
        ([[0, 0], [4, 0], [4, 4], [2, 4], [2, 3], [1, 3], [1, 4], [0, 4]], None),
    ],
)
def test_rings_that_touch_themselves(ring, sides):
    assert find_self_contact(np.array(ring)) == sides


def test_sides_that_only_touch_do_not_cross():
    start, end = np.array([0, 0]), np.array([2, 2])
    starts = np.array([[0, 2], [2, 0], [1, 1], [0, 0], [5, 5]])
    ends = np.array([[2, 0], [0, 2], [0, 2], [2, 2], [6, 7]])
    assert crosses(start, end, starts, ends).tolist() == [True, True, False, False, False]


def test_homography_undoes_a_camera():
    # A camera 5 m above the ground looks down by 30 degrees; pixels of a ground point by its
    # matrix.
    tilt, focal = np.deg2rad(30), 800.0
    turn = np.array(
        [[1, 0, 0], [0, -np.sin(tilt), -np.cos(tilt)], [0, np.cos(tilt), -np.sin(tilt)]]
    )
    inner = np.array([[focal, 0, 512], [0, focal, 384], [0, 0, 1]])

    def picture(ground):
        seen = (inner @ turn @ np.column_stack((ground, np.full(len(ground), -5.0))).T).T
        assert (seen[:, 2] > 0).all()
        return seen[:, :2] / seen[:, 2:]

    known = np.array([[-3.0, 6], [4, 7], [5, 15], [-2, 12]])
    matrix = fit_homography(picture(known), known)
    square = np.array([[0.0, 8], [2, 8], [2, 11], [0, 11]])
    np.testing.assert_allclose(map_points(matrix, picture(square)), square, atol=1e-9)
    horizon = 384 - focal * np.tan(tilt)
    with pytest.raises(ValueError, match='beyond the horizon'):
        map_points(matrix, np.concatenate((picture(square), [[0, horizon - 1]])))
    with pytest.raises(ValueError, match='three of the four points lie on one line'):
        fit_homography(known, np.array([[0, 0], [1, 1], [2, 2], [5, 0]]))
