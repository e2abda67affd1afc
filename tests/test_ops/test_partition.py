import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from mmcrowd.ops.partition import nearest_point_partition, partition_batch


def centres(size, stride):
    """Cell centres (h, w, 2) as (x, y), float64."""
    i, j = np.mgrid[: size[0], : size[1]]
    return np.stack((j, i), -1) * float(stride) + (stride - 1) / 2


def brute_force(points, size, stride):
    square = ((centres(size, stride)[:, :, None] - points.astype(np.float64)) ** 2).sum(-1)
    return square.argmin(-1), np.sqrt(square.min(-1))  # numpy's argmin takes the first


def assert_is_nearest(points, size, stride):
    index, distance = nearest_point_partition(points, size, stride)
    expected_index, expected_distance = brute_force(points, size, stride)
    assert index.dtype == np.int64
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-6)


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 80), sizes, st.integers(1, 9), st.sampled_from([0.01, 1, 30, 1e4]))
def test_random_points(seed, m, size, stride, spread):
    # a spread above 1 puts most points outside of the frame, one below gathers them
    rng = np.random.default_rng(seed)
    frame = np.array(size[::-1]) * stride
    points = frame * (0.5 + spread * (rng.random((m, 2)) - 0.5))
    assert_is_nearest(points.astype(np.float32), size, stride)
    assert_is_nearest(points, size, stride)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 80), sizes, st.integers(1, 5), st.sampled_from([0.5, 1, 2]))
def test_ties_go_to_the_lowest_index(seed, m, size, stride, step):
    # points on a coarse grid: many at equal distance, many coincide
    points = np.random.default_rng(seed).integers(-3, 30, (m, 2)) * step
    assert_is_nearest(points.astype(np.float32), size, stride)


def test_every_cell_is_a_tie():
    corners = np.stack(np.meshgrid(np.arange(-1, 65, 2), np.arange(-1, 65, 2)), -1) + 0.5
    points = np.random.default_rng(0).permutation(corners.reshape(-1, 2)).astype(np.float32)
    assert_is_nearest(points, (32, 32), 2)


@pytest.mark.parametrize('size', [(96, 128), (1, 500), (500, 1), (1, 1)])
def test_against_kd_tree(size):
    points = np.random.default_rng(1).uniform(-20, 276, (700, 2))
    index, distance = nearest_point_partition(points, size, 2)
    expected_distance, expected_index = cKDTree(points).query(centres(size, 2))
    np.testing.assert_array_equal(index, expected_index)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-12)


@pytest.mark.parametrize('layout', ['frame', 'one place', 'blob', 'ring', 'far ring'])
def test_far_more_points_than_cells(layout):
    m, size, stride = 100_000, (16, 24), 4
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, m)
    ring = np.stack((np.cos(angle), np.sin(angle)), -1)
    points = {
        'frame': rng.uniform(0, 96, (m, 2)),
        'one place': np.broadcast_to([30.0, 20.0], (m, 2)),
        'blob': [30, 20] + 1e-3 * rng.normal(size=(m, 2)),
        'ring': [47.5, 31.5] + 20 * ring,
        'far ring': [47.5, 31.5] + 1e5 * ring,
    }[layout]
    points = np.concatenate((points, [[90.0, 60.0]])).astype(np.float32)
    index, distance = nearest_point_partition(points, size, stride)
    expected_distance, _ = cKDTree(points.astype(np.float64)).query(centres(size, stride))
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-6)
    chosen = points[index].astype(np.float64)
    np.testing.assert_allclose(
        np.linalg.norm(chosen - centres(size, stride), axis=-1), expected_distance, rtol=1e-12
    )
    if layout == 'one place':
        assert set(index.flatten()) == {0, m}


def test_million_points():
    points = torch.rand(1_000_000, 2, generator=torch.Generator().manual_seed(0)) * 64
    index, distance = nearest_point_partition(points, (32, 32), 2)
    expected, _ = cKDTree(points.double().numpy()).query(centres((32, 32), 2))
    np.testing.assert_allclose(distance.numpy(), expected, rtol=1e-6)
    assert len(index.unique()) == 32 * 32


def test_no_points():
    index, distance = nearest_point_partition(torch.zeros(0, 2), (3, 5), 2)
    assert index.shape == distance.shape == (3, 5)
    assert index.dtype == torch.int64 and distance.dtype == torch.float32
    assert (index == -1).all() and distance.isposinf().all()


def test_one_point_anywhere():
    for place in ([2.0, 1.0], [-1e6, 3e6], [1e20, -1e20]):
        index, distance = nearest_point_partition(torch.tensor([place]), (3, 5), 2)
        assert (index == 0).all()
        assert distance.isfinite().all()
    # by hand: cell (1, 2) has its centre at (4.5, 2.5)
    _, distance = nearest_point_partition(torch.tensor([[1.5, -1.5]]), (3, 5), 2)
    assert distance[1, 2] == 5


def test_batch_is_each_image_alone():
    rng = torch.Generator().manual_seed(0)
    points = [torch.rand(m, 2, generator=rng) * 90 for m in (0, 7, 1, 300, 0)]
    batch = partition_batch(points, (37, 45), 2)
    assert batch.index.shape == batch.distance.shape == (5, 37, 45)
    for i, p in enumerate(points):
        index, distance = nearest_point_partition(p, (37, 45), 2)
        assert torch.equal(batch.index[i], index)
        assert torch.equal(batch.distance[i], distance)


def test_kind_and_dtype_follow_the_points():
    for dtype in (np.float32, np.float64):
        points = np.array([[1, 2], [5, 3]], dtype)
        index, distance = nearest_point_partition(points, (4, 4), 2)
        assert isinstance(index, np.ndarray) and distance.dtype == dtype
        index_t, distance_t = nearest_point_partition(torch.from_numpy(points), (4, 4), 2)
        np.testing.assert_array_equal(index, index_t.numpy())
        np.testing.assert_array_equal(distance, distance_t.numpy())


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_points_must_be_finite(bad):
    points = [torch.zeros(3, 2), torch.tensor([[1.0, 2.0], [4.0, bad]])]
    with pytest.raises(ValueError, match=r'finite, but image 1 has \[4\.0, (nan|-?inf)\]'):
        partition_batch(points, (4, 4), 2)


def test_bad_shapes():
    with pytest.raises(ValueError, match=r'image 0 must have the shape \(m, 2\).*\(4, 3\)'):
        nearest_point_partition(torch.zeros(4, 3), (4, 4), 2)
    with pytest.raises(ValueError, match=r'positive.*size=\(0, 4\), stride=2'):
        nearest_point_partition(torch.zeros(4, 2), (0, 4), 2)
    with pytest.raises(ValueError, match='positive.*stride=0'):
        nearest_point_partition(torch.zeros(4, 2), (4, 4), 0)
