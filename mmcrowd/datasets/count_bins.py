"""How many people a block of pixels holds, for counters that classify blocks by their count."""

from collections.abc import Callable, Sequence

import numpy as np

from mmcrowd.fileio.images import read_image_shape


def window_count_histogram(points: np.ndarray, size: tuple[int, int], side: int) -> np.ndarray:
    """Histogram of the number of points in every square window of an image, pixel by pixel.

    Points on one pixel count once, as in the published programs of EBC and ZIP; a point outside
    the image counts in the nearest pixel.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in pixels.
        size: Height and width of the image in pixels.
        side: Height and width of a window in pixels.

    Returns:
        Number of windows that hold 0, 1, 2, ... points, int64. All 0 where no window fits the
        image.

    Raises:
        ValueError: ``side`` is not positive.
    """
    if side < 1:
        raise ValueError(f'side must be a positive number of pixels, but got {side}')
    height, width = size
    if min(size) < side:
        return np.zeros(1, np.int64)
    x, y = np.floor(np.reshape(points, (-1, 2)).T + 0.5).astype(np.int64)
    # Sums over all that lies above and left, from which a window is four lookups.
    sums = np.zeros((height + 1, width + 1), np.int32)
    sums[y.clip(0, height - 1) + 1, x.clip(0, width - 1) + 1] = 1
    sums = sums.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    counts = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.bincount(counts.ravel())


def bin_centres(histogram: np.ndarray, bins: Sequence[int]) -> list[float]:
    """Mean count of the windows in each bin.

    Args:
        histogram: Number of windows that hold 0, 1, 2, ... points.
        bins: Lowest count of each bin, ascending; the last one has no upper end.

    Returns:
        One number per bin.

    Raises:
        ValueError: A bin has no window.
    """
    counts = np.arange(len(histogram))
    place = np.digitize(counts, bins) - 1
    centres = []
    for i, low in enumerate(bins):
        weights = histogram[place == i]
        if not weights.sum():
            raise ValueError(
                f'bin {i} of {list(bins)} begins at {low} points, which no window holds; the '
                f'largest count is {np.flatnonzero(histogram).max(initial=0)}'
            )
        centres.append(float(np.average(counts[place == i], weights=weights)))
    return centres


def dataset_histogram(
    dataset, side: int, size_for: Callable[[int, int], tuple[int, int]] | None = None
) -> np.ndarray:
    """Sum of :func:`window_count_histogram` over the images of a dataset.

    Only the headers of the image files are read.

    Args:
        dataset: A crowd dataset; its pipeline is not run.
        side: Side of a window in pixels.
        size_for: Gives the size ``(h, w)`` to which an image of height and width is resized before,
            such as the method of that name of :class:`~.transforms.ResizeToLimits`. Defaults to
            None: images stay as they are.

    Returns:
        Number of windows that hold 0, 1, 2, ... points, int64.
    """
    total = np.zeros(1, np.int64)
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        size = info['img'].shape[:2] if 'img' in info else read_image_shape(info['img_path'])
        points = np.asarray(info['points'], np.float64)
        if size_for is not None:
            new_size = size_for(*size)
            scale = np.divide(new_size, size)[::-1]
            points, size = (points + 0.5) * scale - 0.5, new_size
        histogram = window_count_histogram(points, size, side)
        longer = max(len(total), len(histogram))
        total = np.pad(total, (0, longer - len(total)))
        total += np.pad(histogram, (0, longer - len(histogram)))
    return total
