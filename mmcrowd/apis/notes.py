"""What makes a predicted count doubtful, by stated rules."""

import numpy as np

# Sides beyond those of the training images by more than this factor.
SIZE_FACTOR = 1.5
# Density looks like nothing where there are fewer persons than FAINT in a cell of CELL x CELL
# pixels; a share of the count in such cells above FAINT_SHARE is remarkable. docs/inference.md says
# how many pictures with and without people these numbers tell apart. A count below MIN_COUNT is not
# looked at.
FAINT = 0.1
CELL = 4
FAINT_SHARE = 0.65
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


def notes_on_density(density: np.ndarray, stride: int = CELL) -> list[str]:
    """What the density makes doubtful.

    Args:
        density: Persons per cell ``(h, w)``.
        stride: Pixels per cell. Smaller cells than 4 x 4 pixels are taken together; larger ones
            stay. Defaults to 4.

    Examples:
        >>> notes_on_density(np.full((100, 100), 0.001))
        ['100 % of the count is faint, less than 0.1 persons in 4 x 4 pixels']
        >>> notes_on_density(np.eye(3))
        []
    """
    count = float(density.sum(dtype=np.float64))
    if count < MIN_COUNT:
        return []
    if (together := CELL // stride) > 1:
        height, width = (-(-side // together) * together for side in density.shape)
        padded = np.zeros((height, width))
        padded[: density.shape[0], : density.shape[1]] = density
        density = padded.reshape(-1, together, width // together, together).sum((1, 3))
    share = float(density[density < FAINT].sum(dtype=np.float64)) / count
    if share <= FAINT_SHARE:
        return []
    side = max(CELL // stride, 1) * stride
    return [
        f'{100 * share:.0f} % of the count is faint, less than {FAINT} persons in {side} x {side} '
        'pixels'
    ]
