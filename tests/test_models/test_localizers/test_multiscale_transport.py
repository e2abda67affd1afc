import numpy as np
import pytest
import torch

from mmcrowd.models.localizers import multiscale_transport
from mmcrowd.models.localizers.dense_transport import dense_transport, sinkhorn_step
from mmcrowd.models.localizers.multiscale_transport import (
    MultiscaleTransport,
    Search,
    build_grids,
    build_pyramid,
    separable_step,
    tiled_step,
)
from mmcrowd.models.localizers.ot_minimization import draw_starts

from ...testing.crowds import crowd


def nodes_of(grid):
    """Places and mass of the nodes as columns of the dense form."""
    y, x = np.meshgrid(*grid.centres, indexing='ij')
    places = torch.from_numpy(np.stack((x, y), -1).reshape(-1, 2))
    return places, torch.from_numpy(grid.mass.ravel())


def case(seed, num_points=12, size=(19, 26), stride=2, zeros=0.3):
    """A random map with empty cells, points and potentials."""
    rng = np.random.default_rng(seed)
    mass = rng.random(size) ** 3 * (rng.random(size) > zeros)
    mass *= num_points / mass.sum()
    points = rng.random((num_points, 2)) * np.array(size[::-1]) * stride
    return mass, points, rng.normal(size=num_points)


def dense_step(grid, points, potential, epsilon):
    """New potential and the moments of each point by the dense formulas."""
    places, held = nodes_of(grid)
    C = torch.cdist(places, torch.from_numpy(points)).square() / 64
    f, _ = sinkhorn_step(C, held, torch.from_numpy(potential), epsilon)
    # mass may be negative here, so no logarithm
    factor = torch.exp((f[:, None] - C) / epsilon)
    x, y = places.T
    received = (held * torch.stack((torch.ones_like(x), x, y, x * x + y * y))) @ factor
    return -epsilon * received[0].log(), (received[1:] / received[0]).T


# A coarse grid has negative mass, which a narrow kernel may see alone.
@pytest.mark.parametrize('level, epsilon', [(0, 0.01), (0, 0.4), (0, 6.0), (1, 6.0)])
def test_tiled_step_is_the_dense_step(level, epsilon):
    mass, points, potential = case(seed=level, size=(19, 70))
    grid = build_grids(mass, 2)[level]
    expected, moments = dense_step(grid, points, potential, epsilon)
    pyramid = build_pyramid(grid, 2 * 2**level)
    updated, actual = tiled_step(Search(pyramid, points), potential, epsilon, moments=True)
    np.testing.assert_allclose(updated, expected, atol=5e-3 * epsilon)
    np.testing.assert_allclose(actual, moments, rtol=1e-3)


@pytest.mark.parametrize('level', [0, 1, 3])
@pytest.mark.parametrize('epsilon', [0.4, 6.0])
def test_separable_step_is_the_dense_step(level, epsilon):
    mass, points, potential = case(seed=level, size=(19, 70))
    grid = build_grids(mass, 2)[level]
    expected, _ = dense_step(grid, points, potential, epsilon)
    updated = separable_step(grid, points, potential, epsilon)
    np.testing.assert_allclose(updated, expected, atol=1e-10)


def test_tiled_step_feeds_points_that_no_cell_chooses():
    mass, points, potential = case(seed=5)
    potential[[2, 7]] = -60.0
    grid = build_grids(mass, 2)[0]
    updated, moments = tiled_step(Search(build_pyramid(grid, 2), points), potential, 0.05, True)
    expected, expected_moments = dense_step(grid, points, potential, 0.05)
    np.testing.assert_allclose(updated, expected, atol=1e-3)
    np.testing.assert_allclose(moments[:, :2], expected_moments[:, :2], rtol=1e-3)


def test_tiles_are_divided_where_factors_would_overflow(monkeypatch):
    mass, points, potential = case(seed=7, num_points=30, size=(40, 40))
    pyramid = build_pyramid(build_grids(mass, 2)[0], 2)
    whole = tiled_step(Search(pyramid, points), potential, 0.3, moments=True)
    sides = set()
    blocks = multiscale_transport.plan_blocks

    def recorded(*args, **kwargs):
        for block in blocks(*args, **kwargs):
            sides.add(block.level)
            yield block

    monkeypatch.setattr(multiscale_transport, 'plan_blocks', recorded)
    monkeypatch.setattr(multiscale_transport, 'LARGEST', 1.0)
    parts = tiled_step(Search(pyramid, points), potential, 0.3, moments=True)
    assert sides >= {0, 1}
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_search_goes_on_where_the_last_one_ended(monkeypatch):
    mass, points, potential = case(seed=8, num_points=40, size=(100, 120))
    pyramid = build_pyramid(build_grids(mass, 2)[0], 2)
    starts = []
    blocks = multiscale_transport.plan_blocks

    def recorded(*args, start=(), found=None, **kwargs):
        if found is not None:
            starts.append(len(start))
        return blocks(*args, start=start, found=found, **kwargs)

    monkeypatch.setattr(multiscale_transport, 'plan_blocks', recorded)
    search = Search(pyramid, points)
    for epsilon in (2.0, 1.5, 1.1, 0.8):
        expected = tiled_step(Search(pyramid, points), potential, epsilon, moments=True)
        actual = tiled_step(search, potential, epsilon, moments=True)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
        potential = actual[0]
    assert starts[:2] == [0, 0] and starts[2::2] == [0, 0, 0] and min(starts[5::2]) > 0
    starts.clear()
    # what may be near now was far from its tiles then
    potential[::2] += 30
    expected = tiled_step(Search(pyramid, points), potential, 0.6)
    actual = tiled_step(search, potential, 0.6)
    assert starts == [0, 0]
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-9, atol=1e-9)


def test_small_chunks_change_nothing(monkeypatch):
    mass, points, potential = case(seed=6, num_points=30, size=(40, 40))
    pyramid = build_pyramid(build_grids(mass, 2)[0], 2)
    whole = tiled_step(Search(pyramid, points), potential, 1.0, moments=True)
    monkeypatch.setattr(multiscale_transport, 'CHUNK', 50)
    parts = tiled_step(Search(pyramid, points), potential, 1.0, moments=True)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_separable_step_declines_what_underflows():
    mass = np.zeros((1, 400))
    mass[0, [0, -1]] = 1
    assert separable_step(build_grids(mass, 2)[0], np.zeros((1, 2)), np.zeros(1), 0.5) is None


def test_pyramid_keeps_mass_and_place():
    mass = np.random.default_rng(0).random((35, 20))
    pyramid = build_pyramid(build_grids(mass, 3)[0], 3)
    shapes = [(48, 32), (24, 16), (12, 8), (6, 4), (3, 2), (2, 1), (1, 1)]
    assert [moments.shape[1:] for moments in pyramid.moments] == shapes
    y, x = np.mgrid[:35, :20] * 3 + 1.0
    for moments in pyramid.moments:
        expected = [(mass * value).sum() for value in (1, x, y, x * x + y * y)]
        np.testing.assert_allclose(moments.sum((1, 2)), expected)
    np.testing.assert_allclose(pyramid.moments[1][0, 17, 0], mass[34, :2].sum())
    tile = np.array([3])  # the second of the second row of 2: rows 16 to 31, columns 16 to 31
    np.testing.assert_allclose(pyramid.middles(4, tile), [[16 * 3 + 1 + 22.5]] * 2)
    assert pyramid.half(4) == 22.5 and pyramid.offsets(1).tolist() == [-1.5, 1.5]
    np.testing.assert_array_equal(pyramid.nodes(4, tile, 0)[0, :, :4], mass[16:32, 16:])


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


def test_transport_is_the_dense_transport():
    _, density = crowd(60, (40, 48), 2, seed=1)
    density[10:20, 10:25] = 0
    density *= 60 / density.sum()
    starts = draw_starts(density, 60, 2, np.random.default_rng(0))
    points, spread = MultiscaleTransport(density, 2)(starts)
    expected, expected_spread = dense_transport(density, starts, 2)
    np.testing.assert_allclose(points, expected, atol=0.02)
    np.testing.assert_allclose(spread, expected_spread, rtol=0.01, atol=0.05)
