"""Positions of heads without an image, as D2CNet (Cheng et al.: *Decoupled Two-Stage Crowd Counting
and Beyond*, IEEE Transactions on Image Processing 2021) draws them for its regressor."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np

CELL = 32  # side of a cell in pixels


def draw_dots(
    rng: np.random.Generator, cells: tuple[int, int], weights: Sequence[float], spacing: int = 3
) -> np.ndarray:
    """Draw heads on the pixels of cells of 32 x 32 pixels, each cell for itself.

    A cell gets a random number of heads, one after the other on any of its pixels that are free. A
    head takes up all pixels of its cell that are less than ``spacing`` rows and columns away.

    Args:
        rng: Source of the randomness.
        cells: Rows and columns of cells.
        weights: Relative probabilities of 0, 1, 2 ... heads in a cell. Where they do not fit in, it
            gets fewer.
        spacing: Least distance in rows or columns, in pixels. Defaults to 3.

    Returns:
        ``(m, 2)`` float32 positions ``(x, y)``, whole pixels, cell by cell.

    Raises:
        ValueError: A weight is negative, none is positive, or ``spacing`` is below 1.

    Examples:
        >>> draw_dots(np.random.default_rng(0), (2, 3), [0, 0, 1]).shape
        (12, 2)
    """
    check_dots(weights, spacing)
    share = np.asarray(weights, np.float64)
    number = cells[0] * cells[1]
    wanted = rng.choice(len(share), number, p=share / share.sum())
    # The free pixel that comes first in a random order is a random one of the free pixels.
    order = rng.random((number, CELL, CELL))
    rows = columns = np.arange(CELL)
    dots = []
    for already in range(len(share) - 1):
        chosen = np.flatnonzero(wanted > already)
        y, x = np.divmod(order[chosen].reshape(len(chosen), CELL**2).argmax(1), CELL)
        free = order[chosen, y, x] >= 0
        chosen, y, x = chosen[free], y[free], x[free]
        dots.append(np.stack([chosen, x, y], 1))
        near_rows = abs(rows - y[:, None]) < spacing
        near_columns = abs(columns - x[:, None]) < spacing
        taken = near_rows[:, :, None] & near_columns[:, None]
        order[chosen] = np.where(taken, -1.0, order[chosen])
    cell, x, y = np.concatenate([*dots, np.empty((0, 3), np.int64)]).astype(np.int64).T
    first = np.argsort(cell, kind='stable')
    row, column = np.divmod(cell, cells[1])
    return np.stack([column * CELL + x, row * CELL + y], 1)[first].astype(np.float32)


def check_dots(weights: Sequence[float], spacing: int, owner: str = 'draw_dots') -> None:
    """See that heads can be drawn by these numbers.

    Args:
        weights: See :func:`draw_dots`.
        spacing: See :func:`draw_dots`.
        owner: Who has the numbers, named in the message. Defaults to ``'draw_dots'``.

    Raises:
        ValueError: They are not as described there.
    """
    share = np.asarray(weights)
    numbers = share.ndim == 1 and share.dtype.kind in 'iuf' and np.isfinite(share).all()
    if not numbers or (share < 0).any() or not share.sum() > 0:
        raise ValueError(f'{owner}: weights={weights!r}, expected some above 0 and none below')
    if not isinstance(spacing, Integral) or spacing < 1:
        raise ValueError(f'{owner}: spacing={spacing!r}, expected at least 1 pixel, an integer')
