import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.ops.dots import CELL, draw_dots


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spacing=st.integers(1, 6), most=st.integers(0, 40))
def test_heads_keep_their_distance(seed, spacing, most):
    rows, columns = 2, 3
    dots = draw_dots(np.random.default_rng(seed), (rows, columns), [1] * (most + 1), spacing)
    assert (dots == np.floor(dots)).all() and (dots >= 0).all()
    assert (dots < (columns * CELL, rows * CELL)).all()
    cells = dots // CELL
    assert (np.diff(cells @ (1, columns)) >= 0).all()  # cell by cell
    for cell in np.unique(cells, axis=0):
        inside = dots[(cells == cell).all(1)]
        apart = abs(inside[:, None] - inside).max(-1) + 99 * np.eye(len(inside))
        assert len(inside) <= most and apart.min() >= spacing


def test_numbers_follow_the_weights():
    weights = [2, 0, 1, 1]
    dots = draw_dots(np.random.default_rng(0), (40, 50), weights, 1)
    number = np.zeros((40, 50), int)
    np.add.at(number, tuple((dots[:, ::-1] // CELL).astype(int).T), 1)
    share = np.bincount(number.ravel(), minlength=4) / number.size
    np.testing.assert_allclose(share, [0.5, 0, 0.25, 0.25], atol=0.04)  # four standard deviations
    # Every pixel is as likely as any other.
    place = np.bincount((dots % CELL)[:, 0].astype(int), minlength=CELL) / len(dots)
    np.testing.assert_allclose(place, 1 / CELL, atol=0.012)


def test_a_full_cell_gets_no_more():
    dots = draw_dots(np.random.default_rng(0), (1, 1), [0] * 20 + [1], 32)
    assert len(dots) == 1


@pytest.mark.parametrize('weights', [[], [0, 0], [1, -1]])
def test_bad_weights(weights):
    with pytest.raises(ValueError, match='draw_dots: weights='):
        draw_dots(np.random.default_rng(0), (1, 1), weights)
    with pytest.raises(ValueError, match='spacing=0, expected at least 1'):
        draw_dots(np.random.default_rng(0), (1, 1), [1], 0)
