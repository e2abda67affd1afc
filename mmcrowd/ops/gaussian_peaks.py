"""Maps of Gaussians on pixels, one for each head, of peak 1 and of mass 1."""

from collections.abc import Sequence

import numpy as np

from .cells import cell_of
from .neighbours import neighbour_distances

NEIGHBOURS = 3  # of a point, whose distances give the width of its Gaussian
SHARE = 0.1  # of the sum of these distances
MIN_SIGMA = 0.3  # pixels; less than three neighbours on the nearest pixels give
REACH = 4.0  # standard deviations, beyond which a Gaussian ends


def neighbour_sigma(points: np.ndarray, alone: float) -> np.ndarray:
    """Standard deviations by the distances to the three nearest other points, a tenth of their sum.

    With only two or three points, the mean of the distances there are stands for the missing ones.

    Args:
        points: ``(m, 2)`` positions in pixels.
        alone: Of a point that is alone.

    Returns:
        ``(m,)`` float64 pixels, at least 0.3.

    Examples:
        >>> neighbour_sigma(np.array([[0.0, 0.0], [0.0, 10.0]]), alone=99.0)
        array([3., 3.])
    """
    distances = neighbour_distances(points, NEIGHBOURS)
    if not distances.shape[1]:
        return np.full(len(points), float(alone))
    return np.maximum(NEIGHBOURS * SHARE * distances.mean(1), MIN_SIGMA)


def gaussian_peaks(
    points: np.ndarray,
    sigma: np.ndarray,
    size: Sequence[int],
    frame: Sequence[Sequence[int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a Gaussian on the pixel of each point, which ends where it is ``4 sigma`` away.

    The weights of a Gaussian add up to 1 along rows and columns before anything is cut off, as in
    ``scipy.ndimage.gaussian_filter``.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in pixels, also of heads outside of the map.
        sigma: ``(m,)`` standard deviations in pixels, positive.
        size: Height and width of the map.
        frame: First row and the row behind the last one, and so the columns, of the image that the
            map is cut out of. What of the mass of a head in it would lie outside is reflected at
            its edges. Defaults to None: it is lost.

    Returns:
        The largest of the Gaussians with the peak 1, and the sum of those with the mass 1, at every
        pixel; ``(h, w)`` float64.

    Examples:
        >>> points, sigma = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([0.5, 0.5])
        >>> peaks, density = gaussian_peaks(points, sigma, (1, 4))
        >>> peaks.round(3).tolist(), round(float(density.sum()), 3)
        ([[1.0, 0.135, 1.0, 0.135]], 1.489)
        >>> peaks, density = gaussian_peaks(points, sigma, (1, 4), frame=((0, 1), (0, 4)))
        >>> round(float(density.sum()), 3)
        2.0
    """
    peaks, density = np.zeros(tuple(size)), np.zeros(tuple(size))
    pixels = cell_of(np.asarray(points, np.float64).reshape(-1, 2), 1).astype(np.int64)
    for (x, y), width in zip(pixels.tolist(), sigma.tolist(), strict=True):
        reach = int(REACH * width + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
        rows, row = _cut(kernel, y - reach, size[0])
        columns, column = _cut(kernel, x - reach, size[1])
        window = peaks[rows, columns]
        np.maximum(window, np.outer(row, column), out=window)
        share = kernel / kernel.sum()
        first_row, first_column, shares = y - reach, x - reach, [share, share]
        if frame is not None and all(a <= c < b for c, (a, b) in zip((y, x), frame, strict=True)):
            shares = [_reflect(share, c, f) for c, f in zip((y, x), frame, strict=True)]
            first_row, first_column = frame[0][0], frame[1][0]
        rows, row = _cut(shares[0], first_row, size[0])
        columns, column = _cut(shares[1], first_column, size[1])
        density[rows, columns] += np.outer(row, column)
    return peaks, density


def _cut(values: np.ndarray, first: int, side: int) -> tuple[slice, np.ndarray]:
    """The part of values at ``first``, ``first + 1`` ... that lies in ``[0, side)``."""
    start = min(max(first, 0), side)
    end = min(max(first + len(values), start), side)
    return slice(start, end), values[start - first : max(end - first, start - first)]


def _reflect(share: np.ndarray, centre: int, frame: Sequence[int]) -> np.ndarray:
    """Shares around a centre, as values of all pixels of the frame, at whose edges they turn."""
    first, end = frame
    side, reach = end - first, len(share) // 2
    place = (np.arange(centre - reach, centre + reach + 1) - first) % (2 * side)
    return np.bincount(np.minimum(place, 2 * side - 1 - place), share, minlength=side)
