import math
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import eye_array, kron, vstack
from scipy.spatial.distance import cdist

from mmcrowd.models.localizers import ot_minimization
from mmcrowd.models.localizers.ot_minimization import (
    OTMinimization,
    build_grids,
    build_pyramid,
    draw_starts,
    minimize_transport,
    separable_step,
    sparse_step,
    transport,
)
from mmcrowd.registry import TASK_UTILS
from tests.test_models.test_localizers.dense_otm import dense_otm, dense_plan, sinkhorn_step


def crowd(num_points, size, stride, seed=0, sigma=4.0, smear=0.1):
    """Heads, and their density: blurred heads, a share of them as a wide smear."""
    h, w = size
    rng = np.random.default_rng(seed)
    frame = np.array([w, h]) * stride
    clusters = rng.random((num_points // 40 + 1, 2)) * frame
    heads = clusters[rng.integers(len(clusters), size=num_points)]
    heads += rng.normal(size=heads.shape) * frame.min() / 8
    alone = rng.random(num_points) < 0.5
    heads[alone] = (rng.random((num_points, 2)) * frame)[alone]
    heads = heads.clip(0, frame - 1)
    j, i = np.rint((heads - (stride - 1) / 2) / stride).astype(int).clip(0, [w - 1, h - 1]).T
    counts = np.zeros(size)
    np.add.at(counts, (i, j), 1)
    density = (1 - smear) * gaussian_filter(counts, sigma / stride)
    density += smear * gaussian_filter(counts, 30 / stride)
    return heads, density * num_points / density.sum()


def cells_of(tiles):
    """Places and mass of the tiles as columns of the dense form."""
    y, x = np.meshgrid(*tiles.centres, indexing='ij')
    places = torch.from_numpy(np.stack((x, y), -1).reshape(-1, 2))
    return places, torch.from_numpy(tiles.mass.ravel())


def found(points, heads, radius):
    """Largest number of one-to-one pairs within the radius."""
    near = cdist(points, heads) <= radius
    return near[linear_sum_assignment(near, maximize=True)].sum()


def case(seed, num_points=12, size=(19, 26), stride=2, zeros=0.3):
    """A random map with empty cells, points and potentials."""
    rng = np.random.default_rng(seed)
    mass = rng.random(size) ** 3 * (rng.random(size) > zeros)
    mass *= num_points / mass.sum()
    points = rng.random((num_points, 2)) * np.array(size[::-1]) * stride
    return mass, points, rng.normal(size=num_points)


@pytest.mark.parametrize('level', [0, 1, 3])
@pytest.mark.parametrize('epsilon', [0.01, 0.4, 6.0])
def test_sparse_step_is_the_dense_step(level, epsilon):
    mass, points, potential = case(seed=level)
    pyramid = build_pyramid(mass, 2)
    cells, held = cells_of(pyramid[level])
    C = torch.cdist(cells, torch.from_numpy(points)).square() / 64
    f, g = sinkhorn_step(C, held, torch.from_numpy(potential), epsilon)
    plan = held[:, None] * torch.exp((f[:, None] + g - C) / epsilon)

    updated, actual = sparse_step(pyramid, level, points, potential, epsilon, moments=True)
    np.testing.assert_allclose(updated, g, atol=5e-3 * epsilon)
    if level == 0:
        x, y = cells.T
        moments = plan.T @ torch.stack((x, y, x * x + y * y), 1)
        np.testing.assert_allclose(actual, moments, rtol=1e-3)


@pytest.mark.parametrize('level', [0, 1, 3])
@pytest.mark.parametrize('epsilon', [0.4, 6.0])
def test_separable_step_is_the_dense_step(level, epsilon):
    mass, points, potential = case(seed=level, size=(19, 70))
    grid = build_grids(mass, 2)[level]
    cells, held = cells_of(grid)
    C = torch.cdist(cells, torch.from_numpy(points)).square() / 64
    f, _ = sinkhorn_step(C, held, torch.from_numpy(potential), epsilon)
    # mass may be negative here, so no logarithm
    g = -epsilon * (held @ torch.exp((f[:, None] - C) / epsilon)).log()
    updated = separable_step(grid, points, potential, epsilon)
    np.testing.assert_allclose(updated, g, atol=1e-10)


def test_sparse_step_feeds_points_that_no_cell_chooses():
    mass, points, potential = case(seed=5)
    potential[[2, 7]] = -60.0
    updated, moments = sparse_step(build_pyramid(mass, 2), 0, points, potential, 0.05, True)
    cells, held = cells_of(build_pyramid(mass, 2)[0])
    C = torch.cdist(cells, torch.from_numpy(points)).square() / 64
    f, g = sinkhorn_step(C, held, torch.from_numpy(potential), 0.05)
    plan = held[:, None] * torch.exp((f[:, None] + g - C) / 0.05)
    np.testing.assert_allclose(updated, g, atol=1e-3)
    np.testing.assert_allclose(moments[:, :2], plan.T @ cells, rtol=1e-3)


def test_small_chunks_change_nothing(monkeypatch):
    mass, points, potential = case(seed=6, num_points=30)
    whole = sparse_step(build_pyramid(mass, 2), 0, points, potential, 1.0, moments=True)
    monkeypatch.setattr(ot_minimization, 'CHUNK', 50)
    parts = sparse_step(build_pyramid(mass, 2), 0, points, potential, 1.0, moments=True)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_separable_step_declines_what_underflows():
    mass = np.zeros((1, 400))
    mass[0, [0, -1]] = 1
    assert separable_step(build_grids(mass, 2)[0], np.zeros((1, 2)), np.zeros(1), 0.5) is None


def test_pyramid_keeps_mass_and_place():
    mass = np.random.default_rng(0).random((5, 7))
    pyramid = build_pyramid(mass, 3)
    assert [tiles.mass.shape for tiles in pyramid] == [(5, 7), (3, 4), (2, 2), (1, 1)]
    for tiles in pyramid:
        np.testing.assert_allclose(tiles.mass.sum(), mass.sum())
    np.testing.assert_allclose(pyramid[1].mass[2, 0], mass[4, :2].sum())
    np.testing.assert_array_equal(pyramid[1].centres[0], [2.5, 8.5, 13])  # cells at 1 4 7 10 13
    np.testing.assert_array_equal(pyramid[1].halves[0], [1.5, 1.5, 0])
    np.testing.assert_array_equal(pyramid[-1].centres[1], [10])
    np.testing.assert_array_equal(pyramid[-1].halves[1], [9])


@pytest.mark.parametrize('size', [(21, 50), (1, 40), (64, 9), (1, 1)])
def test_sums_over_coarse_grids_are_exact_for_cubics(size):
    mass = np.random.default_rng(0).random(size)
    grids = build_grids(mass, 3)
    assert max(grids[-1].mass.shape) <= 8
    for k, grid in enumerate(grids):
        for axis, power in np.ndindex(2, 4):
            place, origin = (g.centres[axis] for g in (grid, grids[0]))
            assert len(place) == 1 or place[1] - place[0] == 3 * 2**k
            actual = grid.mass.sum(1 - axis) @ place**power
            np.testing.assert_allclose(actual, mass.sum(1 - axis) @ origin**power, rtol=1e-9)


def test_transport_gives_the_barycentres_of_the_dense_plan():
    _, density = crowd(60, (40, 48), 2, seed=1)
    density[10:20, 10:25] = 0
    density *= 60 / density.sum()
    starts = draw_starts(density, 60, 2, np.random.default_rng(0))
    pyramid = build_pyramid(density, 2)
    points, spread = transport(build_grids(density, 2), pyramid, starts, 2)
    cells, mass = cells_of(pyramid[0])
    plan = dense_plan(cells, mass, torch.from_numpy(starts))

    # the marginals of the plan: that of the points exactly, that of the cells nearly
    np.testing.assert_allclose(plan.sum(0), 1, rtol=1e-6)
    assert (plan.sum(1) - mass).abs().sum() < 0.2 * mass.sum()
    np.testing.assert_allclose(points, plan.T @ cells, atol=0.02)
    expected = (plan * torch.cdist(cells, torch.from_numpy(points)).square()).sum(0)
    np.testing.assert_allclose(spread, expected, rtol=0.01, atol=0.05)


@pytest.mark.parametrize(
    'num_points, size, stride', [(20, (24, 32), 2), (50, (40, 32), 2), (30, (20, 16), 8)]
)
def test_minimum_is_that_of_the_dense_form(num_points, size, stride):
    pairs = np.zeros(2)
    for seed in range(3):
        heads, density = crowd(num_points, size, stride, seed)
        starts = draw_starts(density, num_points, stride, np.random.default_rng(0))
        points, _ = minimize_transport(density, starts, stride)
        dense = dense_otm(torch.from_numpy(density), torch.from_numpy(starts), stride).numpy()
        assert np.hypot(*(points - dense).T).mean() < 0.02
        for radius in (4, 8):
            pairs += found(points, heads, radius), found(dense, heads, radius)
    # N points and N heads, so F1 is the share of pairs
    assert abs(pairs[0] - pairs[1]) / (2 * 3 * num_points) <= 0.002


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 4]), st.integers(1, 9))
def test_separated_heads_are_found_within_half_a_cell(seed, stride, num_heads):
    rng = np.random.default_rng(seed)
    # heads at random sub-cell places in squares of 16 cells
    place = rng.permutation(9)[:num_heads]
    heads = np.stack((place % 3, place // 3), 1) * 16 + 7.5 + rng.uniform(-2, 2, (num_heads, 2))
    axis = np.arange(48)
    rows, columns = (np.exp(-((axis[:, None] - heads[:, k]) ** 2) / (2 * 1.5**2)) for k in (1, 0))
    density = (rows / rows.sum(0)) @ (columns / columns.sum(0)).T
    points, scores = OTMinimization(seed=seed)(torch.from_numpy(density), stride)
    cells = (points.numpy() - (stride - 1) / 2) / stride
    distance = cdist(cells, heads)
    pair = linear_sum_assignment(distance)
    assert len(points) == num_heads
    assert distance[pair].max() < 0.5
    assert (scores > 0.3).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([0.0, 0.4, 3.7, 40.0]),
)
def test_any_map_gives_n_points_inside(seed, size, stride, count):
    rng = np.random.default_rng(seed)
    density = rng.random(size) ** 6 * (rng.random(size) > 0.5)
    density *= count / max(density.sum(), 1e-9)
    density = torch.from_numpy(density).float()
    points, scores = OTMinimization()(density, stride)
    n = math.floor(float(density.double().sum()) + 0.5)
    assert points.shape == (n, 2) and scores.shape == (n,)
    assert points.dtype == scores.dtype == torch.float32
    low, high = (stride - 1) / 2, torch.tensor(size[::-1]) * stride - (stride + 1) / 2
    assert (points >= low - 1e-3).all() and (points <= high + 1e-3).all()
    assert (scores > 0).all() and (scores <= 1).all()
    assert (scores.diff() <= 0).all()


def test_all_mass_in_one_cell():
    density = torch.zeros(6, 8)
    density[2, 5] = 7
    points, scores = OTMinimization()(density, 2)
    torch.testing.assert_close(points, torch.tensor([[10.5, 4.5]]).expand(7, 2))
    torch.testing.assert_close(scores, torch.ones(7))


@pytest.mark.parametrize('value', [0.0, 1e-30, -1.0, 0.01])
def test_less_than_half_a_person_is_no_point(value):
    points, scores = OTMinimization()(torch.full((4, 5), value, dtype=torch.bfloat16), 8)
    assert points.shape == (0, 2) and scores.shape == (0,)
    assert points.dtype == scores.dtype == torch.float32


@pytest.mark.parametrize('count, number', [(0.5, 1), (1.5, 2), (2.5, 3), (2.49, 2), (2.51, 3)])
def test_a_half_is_a_person_more(count, number):
    density = torch.zeros(6, 8, dtype=torch.float64)
    density[1:3, 2] = count / 2
    points, _ = OTMinimization()(density, 2)
    assert len(points) == number


def transport_cost(density, points, stride):
    """Least cost of moving the density, of a sum N, to N points, by linear programming."""
    rows, columns = np.nonzero(density)
    cells = np.stack((columns, rows), 1) * stride + (stride - 1) / 2
    n, m = len(cells), len(points)
    marginals = vstack((kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))))
    mass = np.concatenate((density[rows, columns], np.ones(m)))
    cost = cdist(cells, points, 'sqeuclidean').ravel() / 64
    return linprog(cost, A_eq=marginals, b_eq=mass, method='highs').fun


@pytest.mark.parametrize('name', ['a', 'c'])
def test_no_worse_than_the_published_program(golden_root, name):
    """From the starts that it drew; its updates differ, and so may the minimum that is found."""
    with np.load(golden_root / 'systems' / 'otm.npz') as golden:
        density, stride, starts, official = (
            golden[f'{name}/{key}'] for key in ('density', 'stride', 'start_rc', 'points_rc')
        )
    # Of a sum of 12.3 and of 8.5.
    assert len(OTMinimization()(torch.from_numpy(density), int(stride))[0]) == len(starts)
    density *= len(starts) / density.sum()
    # The centre of its cell i is i * s + s / 2.
    starts, official = (points[:, ::-1] - 0.5 for points in (starts, official))
    points, _ = minimize_transport(density, starts, int(stride))
    assert np.hypot(*(points - official).T).mean() < stride / 8
    assert transport_cost(density, points, stride) < transport_cost(density, official, stride)


def test_negative_cells_count_but_have_no_mass():
    density = torch.zeros(20, 20)
    density[5, 5], density[15, 15], density[0, 0] = 1.5, 1.5, -1
    points, _ = OTMinimization()(density, 2)
    torch.testing.assert_close(
        points.sort(0).values, torch.tensor([[10.5, 10.5], [30.5, 30.5]]), atol=1e-3, rtol=0
    )


def test_far_mass_that_no_point_is_near():
    density = torch.zeros(4, 900)
    density[1, 3:6] = 1
    density[2, -1] = 1e-4
    points, _ = OTMinimization()(density, 8)
    assert len(points) == 3 and torch.isfinite(points).all()
    assert (points[:, 0] < 60).all()


def test_the_same_map_gives_the_same_points_whatever_was_before():
    _, density = crowd(25, (24, 24), 2)
    density = torch.from_numpy(density).requires_grad_()
    localizer = TASK_UTILS.build(dict(type='OTMinimization', seed=3))
    first = localizer(density, 2)
    np.random.seed(1)
    localizer(density.T, 2)
    for one, other in zip(first, localizer(density, 2), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not torch.equal(first[0], OTMinimization(seed=4)(density, 2)[0])


def test_transposed_map_gives_transposed_points():
    _, density = crowd(40, (28, 36), 2)
    starts = draw_starts(density, 40, 2, np.random.default_rng(0))
    points, spread = minimize_transport(density, starts, 2)
    order = np.random.default_rng(1).permutation(40)
    other, other_spread = minimize_transport(
        np.ascontiguousarray(density.T), starts[order, ::-1].copy(), 2
    )
    np.testing.assert_allclose(other[:, ::-1], points[order], atol=1e-6)
    np.testing.assert_allclose(other_spread, spread[order], atol=1e-4)


def test_score_tells_a_head_from_smear():
    density = torch.full((64, 64), 1 / 64**2)
    density[20, 20] += 1
    points, scores = OTMinimization()(density, 2)
    assert len(points) == 2
    assert scores[0] > 2 * scores[1]
    np.testing.assert_allclose(points[0], [40.5, 40.5], atol=12)


@pytest.mark.parametrize('stride', [1, 2, 3, 4])
def test_starts_follow_the_bilinearly_upsampled_map(stride):
    mass = np.array([[1.0, 0, 3], [0, 2, 1]])
    rng = np.random.default_rng(0)
    draws = 4000
    starts = np.concatenate([draw_starts(mass, 1, stride, rng) for _ in range(draws)])
    pixels = np.zeros((2 * stride, 3 * stride))
    np.add.at(pixels, tuple(starts[:, ::-1].astype(int).T), 1)
    expected = F.interpolate(
        torch.from_numpy(mass)[None, None], scale_factor=stride, mode='bilinear'
    )[0, 0].numpy()
    expected *= draws / expected.sum()
    assert (np.abs(pixels - expected) <= 4.5 * np.sqrt(expected)).all()


def test_starts_are_distinct_pixels_while_these_last():
    mass = np.zeros((6, 6))
    mass[2:4, 2:4] = 2
    starts = draw_starts(mass, 8, 4, np.random.default_rng(0))
    assert len(np.unique(starts, axis=0)) == 8
    np.testing.assert_array_equal(starts, starts.round())
    crowded = draw_starts(np.full((2, 2), 5.0), 20, 2, np.random.default_rng(0))
    assert len(np.unique(crowded, axis=0)) == 20
    assert len(np.unique(crowded.round(), axis=0)) <= 16
    assert crowded.min() >= -0.5 and crowded.max() <= 3.5


def test_memory_is_far_below_the_dense_plan():
    _, density = crowd(3000, (256, 256), 2)
    localizer = OTMinimization(max_iterations=1)
    tracemalloc.start()
    localizer(torch.from_numpy(density), 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < density.size * 3000 * 8 / 20


@pytest.mark.parametrize(
    'density, stride, message',
    [
        (torch.zeros(1, 4, 4), 2, r'\(1, 4, 4\)'),
        (torch.zeros(0, 4), 2, r'\(0, 4\)'),
        (torch.zeros(4, 4, dtype=torch.int64), 2, 'int64'),
        (torch.tensor([[1.0, torch.nan]]), 2, '1 of 2 cells'),
        (torch.tensor([[1.0, torch.inf]]), 2, '1 of 2 cells'),
        (torch.zeros(4, 4), 0, 'stride .* 0'),
    ],
)
def test_what_is_no_density_is_refused(density, stride, message):
    with pytest.raises(ValueError, match=f'OTMinimization.*{message}'):
        OTMinimization()(density, stride)


@pytest.mark.parametrize('wrong', [dict(max_iterations=0), dict(score_radius=0.0)])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match='must be positive'):
        OTMinimization(**wrong)
