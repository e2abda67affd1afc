"""What makes a predicted count doubtful, by stated rules."""

import numpy as np

# Sides beyond those of the training images by more than this factor.
SIZE_FACTOR = 1.5
# Density of a cell, in persons, below which it looks like nothing, and the share of the count in
# such cells that is remarkable. A count below MIN_COUNT is not looked at.
FAINT_CELL = 0.01
FAINT_SHARE = 0.5
MIN_COUNT = 1.0


def notes_on_size(size: tuple[int, int], trained: tuple[int, int] | None) -> list[str]:
    """What the size of an image makes doubtful.

    Args:
        size: ``(height, width)`` in pixels as the network sees it.
        trained: Smallest and largest longer side of the training images; None if not known.

    Examples:
        >>> notes_on_size((600, 800), (400, 1024))
        []
        >>> notes_on_size((3000, 4000), (400, 1024))
        ['longer side of 4000 pixels, trained on 400 to 1024']
    """
    longer = max(size)
    if trained is None or trained[0] / SIZE_FACTOR <= longer <= trained[1] * SIZE_FACTOR:
        return []
    return [f'longer side of {longer} pixels, trained on {trained[0]} to {trained[1]}']


def notes_on_density(density: np.ndarray) -> list[str]:
    """What the density makes doubtful.

    Args:
        density: Persons per cell ``(h, w)``.

    Examples:
        >>> notes_on_density(np.full((100, 100), 0.001))
        ['100 % of the count is in cells of less than 0.01 persons']
        >>> notes_on_density(np.eye(3))
        []
    """
    count = float(density.sum(dtype=np.float64))
    if count < MIN_COUNT:
        return []
    share = float(density[density < FAINT_CELL].sum(dtype=np.float64)) / count
    if share <= FAINT_SHARE:
        return []
    return [
        f'{share:.0%} of the count is in cells of less than {FAINT_CELL} persons'.replace('%', ' %')
    ]
