import numpy as np
import pytest
import torch

from mmcrowd.models.localizers import multiscale_transport
from mmcrowd.models.localizers.dense_transport import dense_transport, sinkhorn_step
from mmcrowd.models.localizers.multiscale_transport import (
    build_grids,
    build_pyramid,
    separable_step,
    sparse_step,
)
from mmcrowd.models.localizers.ot_minimization import draw_starts

from ...testing.crowds import crowd


def cells_of(tiles):
    """Places and mass of the tiles as columns of the dense form."""
    y, x = np.meshgrid(*tiles.centres, indexing='ij')
    places = torch.from_numpy(np.stack((x, y), -1).reshape(-1, 2))
    return places, torch.from_numpy(tiles.mass.ravel())


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
    monkeypatch.setattr(multiscale_transport, 'CHUNK', 50)
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


def test_transport_is_the_dense_transport():
    _, density = crowd(60, (40, 48), 2, seed=1)
    density[10:20, 10:25] = 0
    density *= 60 / density.sum()
    starts = draw_starts(density, 60, 2, np.random.default_rng(0))
    points, spread = multiscale_transport.multiscale_transport(density, starts, 2)
    expected, expected_spread = dense_transport(density, starts, 2)
    np.testing.assert_allclose(points, expected, atol=0.02)
    np.testing.assert_allclose(spread, expected_spread, rtol=0.01, atol=0.05)
