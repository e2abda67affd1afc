import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.visualization.drawing import (
    add_caption,
    draw_points,
    lay_density,
    overlay_density,
    point_radius,
    side_by_side,
)


def centroid(weights):
    """(x, y) of the centre of mass of a map."""
    y, x = np.indices(weights.shape)
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


@pytest.mark.parametrize('ring', [False, True])
def test_points_lie_where_they_should(ring):
    for point in [(20.0, 30.0), (20.5, 30.25), (59.0, 15.75)]:
        picture = np.zeros((80, 100, 3), np.uint8)
        draw_points(picture, np.array([point]), 4, (255, 200, 100), ring)
        assert centroid(picture[..., 0].astype(float)) == pytest.approx(point, abs=0.1)


def test_points_outside_are_cut_off():
    picture = np.zeros((8, 8, 3), np.uint8)
    draw_points(picture, np.array([[-1e9, 3.0], [3.0, 1e9], [-40.0, 4.0]]), 4, (255, 0, 0))
    assert not picture.any()
    draw_points(picture, np.zeros((0, 2)), 4, (255, 0, 0))
    assert not picture.any()


def test_crowds_get_smaller_dots():
    y, x = np.mgrid[0:1000:10, 0:1000:10]
    grid = np.stack([x.ravel(), y.ravel()], axis=1).astype(float)
    assert point_radius(grid, 1000) == 2.5
    assert point_radius(np.zeros((0, 2)), 1000) == point_radius(grid[:1], 1000) == 5
    assert point_radius(np.zeros((9, 2)), 1000) == 1.5


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.integers(0, 9),
)
def test_laid_density_keeps_the_count(cells, size, seed):
    density = np.random.default_rng(seed).random(cells, np.float32)
    laid = lay_density(density, np.array([[0, 0], size[::-1]]), size)
    assert laid.shape == size
    if all(side % cell == 0 for side, cell in zip(size, cells, strict=True)):
        # Exact up to what linear interpolation moves near the border.
        assert laid.sum() == pytest.approx(density.sum(), rel=0.3)
    uniform = lay_density(np.full(cells, 1 / 8, np.float32), np.array([[0, 0], size[::-1]]), size)
    assert uniform.sum() == pytest.approx(cells[0] * cells[1] / 8, rel=1e-4)


@pytest.mark.parametrize('stride', [1, 2, 4, 0.25])
def test_laid_density_is_aligned_with_its_cells(stride):
    density = np.zeros((40, 60), np.float32)
    density[12:16, 40:44] = 1
    box = np.array([[0, 0], [60 * stride, 40 * stride]])
    laid = lay_density(density, box, (int(40 * stride), int(60 * stride)))
    assert laid.sum() == pytest.approx(16, rel=1e-5)
    # The block is centred on the edge between cells 41 and 42, and 13 and 14.
    assert centroid(laid) == pytest.approx((42 * stride - 0.5, 14 * stride - 0.5), abs=1e-3)


def test_laid_density_is_mirrored_and_cut_off():
    density = np.arange(12, dtype=np.float32).reshape(3, 4)
    laid = lay_density(density, np.array([[4, 0], [0, 3]]), (3, 4))
    assert np.array_equal(laid, density[:, ::-1])
    laid = lay_density(density, np.array([[-1, 1], [3, 4]]), (3, 5))
    expected = np.zeros((3, 5), np.float32)
    expected[1:, :3] = density[:2, 1:]
    assert np.array_equal(laid, expected)


def test_overlay_shows_the_image_where_nobody_is():
    picture = np.full((4, 5, 3), 200, np.uint8)
    level = np.zeros((4, 5), np.float32)
    level[1, 2] = 1
    shaded = overlay_density(picture, level)
    assert np.all(shaded[level == 0] == 120)
    red, _, blue = shaded[1, 2].astype(int)
    assert red > 200 > blue


def test_caption_is_as_wide_as_it_must_be():
    narrow = np.full((10, 2, 3), 255, np.uint8)
    captioned = add_caption(narrow, [('GT 12345', (255, 0, 0))], ['0', narrow, 'persons'], 16)
    assert captioned.shape[1] > 60
    assert (captioned[-10:] == 255).all(axis=2).sum() == 20

    wide = np.full((10, 900, 3), 255, np.uint8)
    assert np.array_equal(add_caption(wide, [], [], 16)[-10:], wide)


def test_panels_are_aligned_at_the_bottom():
    low, high = (np.full((height, 4, 3), 255, np.uint8) for height in (2, 5))
    joined = side_by_side([low, high])
    assert joined.shape == (5, 14, 3)
    assert np.all(joined[:, 10:] == 255) and np.all(joined[3:, :4] == 255)
    assert not (joined[:3, :4] == 255).any()
