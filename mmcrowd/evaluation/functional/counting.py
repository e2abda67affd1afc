"""Counting errors on plain arrays."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Classes by true count, both ends included, None for no upper end.
COUNT_CLASSES = {
    # Sindagi et al., JHU-CROWD++, TPAMI 2020.
    'jhu': {'low': (0, 50), 'medium': (51, 500), 'high': (501, None)},
    # Wang et al., NWPU-Crowd, TPAMI 2020: the scene levels.
    'nwpu': {'S0': (0, 0), 'S1': (1, 100), 'S2': (101, 500), 'S3': (501, 5000), 'S4': (5001, None)},
}

# Classes by a label of the image: the attribute and the values that belong to the class.
ATTRIBUTE_CLASSES = {
    # Fog, rain or snow; 0 is none of them.
    'jhu': {'weather': ('weather', (1, 2, 3))},
    # The luminance codes; the authors' lists have all four, L3 for very few images.
    'nwpu': {f'L{code}': ('luminance', (code,)) for code in range(4)},
}


def count_errors(pred: ArrayLike, gt: ArrayLike) -> dict[str, float]:
    r"""Errors of predicted counts over a set of images.

    With :math:`e_i` = prediction - truth:

    - ``MAE``: mean of :math:`|e_i|`.
    - ``RMSE``: :math:`\sqrt{\mathrm{mean}(e_i^2)}`. Papers of this field print it as "MSE".
    - ``NAE``: mean of :math:`|e_i|` / truth over the images with truth > 0.

    Args:
        pred: ``(n,)`` predicted counts.
        gt: ``(n,)`` true counts.

    Returns:
        The three numbers, computed in float64. A mean over no image is ``nan``.

    Raises:
        ValueError: If the two are not vectors of one length, a value is not finite, or a true
            count is negative.

    Examples:
        >>> count_errors([12, 0, 95], [10, 0, 100])
        {'MAE': 2.33..., 'RMSE': 3.10..., 'NAE': 0.125}
    """
    pred, gt = _validated(pred, gt)
    error = np.abs(pred - gt)
    crowded = gt > 0
    return {
        'MAE': _mean(error),
        'RMSE': _mean(error**2) ** 0.5,
        'NAE': _mean(error[crowded] / gt[crowded]),
    }


def count_errors_by_class(
    pred: ArrayLike,
    gt: ArrayLike,
    classes: Mapping[str, tuple[float, float | None]],
) -> dict[str, float]:
    """Errors of predicted counts within each class of the true count.

    Args:
        pred: ``(n,)`` predicted counts.
        gt: ``(n,)`` true counts.
        classes: Name to ``(lowest, highest)`` true count, both included; ``highest=None`` means no
            upper end. See :data:`COUNT_CLASSES`. The ranges need not cover every image, and an
            image counts in each range that holds it.

    Returns:
        ``MAE_{name}``, ``RMSE_{name}`` and ``NAE_{name}`` for every class. The keys of a class
        without images are there with the value ``nan``, so that tables of different sets line up.

    Raises:
        ValueError: As :func:`count_errors`.

    Examples:
        >>> count_errors_by_class([12, 0, 95], [10, 0, 100], {'few': (0, 50)})
        {'MAE_few': 1.0, 'RMSE_few': 1.41..., 'NAE_few': 0.2}
    """
    pred, gt = _validated(pred, gt)
    members = {
        name: class_members(gt, lowest, highest) for name, (lowest, highest) in classes.items()
    }
    return _errors_of(members, pred, gt)


def count_errors_by_attribute(
    pred: ArrayLike,
    gt: ArrayLike,
    attributes: Sequence[Mapping[str, Any]],
    classes: Mapping[str, tuple[str, Iterable]],
) -> dict[str, float]:
    """Errors of predicted counts within each class by a label of the image.

    Args:
        pred: ``(n,)`` predicted counts.
        gt: ``(n,)`` true counts.
        attributes: ``n`` mappings from attribute to value, as the benchmark labels the images.
        classes: Name to ``(attribute, values)``: the images whose attribute has one of the values.
            See :data:`ATTRIBUTE_CLASSES`. The classes need not cover every image.

    Returns:
        As :func:`count_errors_by_class`.

    Raises:
        ValueError: As :func:`count_errors`, or if there is not one mapping per image.
        KeyError: If an image lacks an attribute that a class asks for.

    Examples:
        >>> weather = [dict(weather=2), dict(weather=0), dict(weather=3)]
        >>> classes = {'wet': ('weather', (2, 3))}
        >>> count_errors_by_attribute([12, 0, 95], [10, 0, 100], weather, classes)
        {'MAE_wet': 3.5, 'RMSE_wet': 3.80..., 'NAE_wet': 0.125}
    """
    pred, gt = _validated(pred, gt)
    if len(attributes) != len(pred):
        raise ValueError(f'attributes has {len(attributes)} entries, expected {len(pred)}')
    members = {}
    for name, (attribute, values) in classes.items():
        for index, labels in enumerate(attributes):
            if attribute not in labels:
                raise KeyError(f'attributes[{index}] has no {attribute!r}, only {sorted(labels)}')
        members[name] = np.array([labels[attribute] in values for labels in attributes], bool)
    return _errors_of(members, pred, gt)


def class_members(gt: ArrayLike, lowest: float, highest: float | None) -> np.ndarray:
    """Which images are in a class of the true count, see :data:`COUNT_CLASSES`.

    Args:
        gt: ``(n,)`` true counts.
        lowest: Lowest count of the class.
        highest: Highest count of the class, None for no upper end.

    Returns:
        ``(n,)`` bool.

    Examples:
        >>> class_members([0, 1, 100, 101], 1, 100)
        array([False,  True,  True, False])
    """
    gt = np.asarray(gt)
    return (gt >= lowest) & (gt <= (np.inf if highest is None else highest))


def class_name(lowest: int, highest: int | None, separator: str = '') -> str:
    """Name of a class of the true count for people.

    Args:
        lowest: Lowest count of the class.
        highest: Highest count of the class, None for no upper end.
        separator: What separates thousands, ``','`` or ``'_'``. Defaults to nothing.

    Examples:
        >>> class_name(0, 0), class_name(501, 5000), class_name(5001, None, ',')
        ('0', '501–5000', '> 5,000')
    """
    if highest is None:
        return f'> {lowest - 1:{separator}}'
    if lowest == highest:
        return f'{lowest:{separator}}'
    return f'{lowest:{separator}}–{highest:{separator}}'


def mean_over_classes(errors: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """Plain mean of each error over classes, as the NWPU leaderboard's "Avg." prints it.

    Every class weighs the same, however many images it holds. A class whose error is ``nan``,
    since it has no image (or for NAE none with somebody in it), is left out.

    Args:
        errors: ``MAE_{name}``, ``RMSE_{name}`` and ``NAE_{name}`` of the classes.
        names: The classes to average.

    Returns:
        ``MAE``, ``RMSE`` and ``NAE``, ``nan`` if every class is left out.

    Examples:
        >>> errors = count_errors_by_class([12, 90], [10, 100], COUNT_CLASSES['jhu'])
        >>> mean_over_classes(errors, ['low', 'medium', 'high'])  # 2 and 10, nobody is 'high'
        {'MAE': 6.0, 'RMSE': 6.0, 'NAE': 0.15...}
    """
    names = list(names)
    means = {}
    for key in ('MAE', 'RMSE', 'NAE'):
        values = np.array([errors[f'{key}_{name}'] for name in names])
        means[key] = _mean(values[~np.isnan(values)])
    return means


def game(pred: Sequence[np.ndarray], gt: Sequence[np.ndarray]) -> float:
    r"""Grid average mean absolute error, GAME(L) of Guerrero-Gomez-Olmedo et al., IbPRIA 2015.

    .. math:: GAME(L) = \frac{1}{n} \sum_i \sum_{r=1}^{4^L} |p_{ir} - t_{ir}|

    over :math:`2^L \times 2^L` equal regions of each of n images. GAME(0) is the MAE, and GAME does
    not fall as L rises.

    Args:
        pred: ``n`` arrays ``(2^L, 2^L)`` of the predicted counts of the regions, from
            :func:`density_by_region` or :func:`points_by_region`.
        gt: The same of the true counts.

    Returns:
        The mean over the images, ``nan`` for none.

    Raises:
        ValueError: If the two have different shapes.

    Examples:
        >>> truth = points_by_region([[0, 0], [9, 9]], (10, 10), level=1)
        >>> game([points_by_region([[9, 0], [9, 9]], (10, 10), level=1)], [truth])
        2.0
    """
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    if pred.shape != gt.shape:
        raise ValueError(
            f'pred and gt must have one shape (n, 2^L, 2^L), got {pred.shape} and {gt.shape}'
        )
    return _mean(np.abs(pred - gt).sum(tuple(range(1, pred.ndim))))


def density_by_region(
    density: np.ndarray, img_shape: tuple[int, int], stride: float, level: int
) -> np.ndarray:
    """Sums of a density map over ``2^L x 2^L`` equal parts of its image.

    What is in a cell lies evenly over the part of the cell inside the image; a cell that a border
    between regions cuts is divided in proportion. The sums add up to the sum of the map.

    Args:
        density: ``(h, w)`` persons per cell of the un-padded area, ``h = ceil(H / stride)``.
        img_shape: ``(H, W)`` of the image in pixels of the frame of the map.
        stride: Pixels per cell.
        level: ``L >= 0``.

    Returns:
        ``(2^L, 2^L)`` float64, rows from top to bottom.

    Raises:
        ValueError: If the map has another size than image and stride say, or level is negative.

    Examples:
        >>> density_by_region(np.ones((3, 2)), (12, 8), stride=4, level=1)
        array([[1.5, 1.5],
               [1.5, 1.5]])
    """
    density = np.asarray(density, np.float64)
    expected = tuple(int(np.ceil(side / stride)) for side in img_shape)
    if density.shape != expected:
        raise ValueError(
            f'density has the shape {density.shape}, expected {expected} for an image of '
            f'{tuple(img_shape)} pixels and stride {stride}'
        )
    rows, columns = (_shares(side, stride, level) for side in img_shape)
    return rows @ density @ columns.T


def points_by_region(points: np.ndarray, img_shape: tuple[int, int], level: int) -> np.ndarray:
    """Number of points in each of ``2^L x 2^L`` equal parts of their image.

    Pixel column ``j`` covers ``[j - 0.5, j + 0.5)``. A point beyond the image counts in the nearest
    region, so that the numbers add up to the number of points.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in pixels.
        img_shape: ``(H, W)`` of the image in pixels of the same frame.
        level: ``L >= 0``.

    Returns:
        ``(2^L, 2^L)`` float64, rows from top to bottom.

    Raises:
        ValueError: If level is negative.

    Examples:
        >>> points_by_region([[0, 0], [9, 0], [4.4, 9], [4.5, 9]], (10, 10), level=1)
        array([[1., 1.],
               [1., 1.]])
    """
    parts = _parts(level)
    height, width = img_shape
    # Multiplied before divided, so that a point on a border between regions is not rounded off it.
    region = (np.asarray(points, np.float64).reshape(-1, 2) + 0.5) * parts // (width, height)
    column, row = region.clip(0, parts - 1).astype(np.int64).T
    return np.bincount(row * parts + column, minlength=parts**2).reshape(parts, parts) * 1.0


def _shares(side: int, stride: float, level: int) -> np.ndarray:
    """``(2^L, cells)`` share of each cell along a side of the image that each region owns."""
    borders = np.arange(_parts(level) + 1) * (side / _parts(level))
    cells = np.append(np.arange(0, side, stride), side)
    start = np.maximum(borders[:-1, None], cells[:-1])
    end = np.minimum(borders[1:, None], cells[1:])
    return (end - start).clip(0) / np.diff(cells)


def _parts(level: int) -> int:
    if level < 0 or level != int(level):
        raise ValueError(f'level is {level}, expected a whole number >= 0')
    return 2 ** int(level)


def _errors_of(
    members: Mapping[str, np.ndarray], pred: np.ndarray, gt: np.ndarray
) -> dict[str, float]:
    return {
        f'{key}_{name}': value
        for name, member in members.items()
        for key, value in count_errors(pred[member], gt[member]).items()
    }


def _validated(pred: ArrayLike, gt: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    if pred.ndim != 1 or pred.shape != gt.shape:
        raise ValueError(
            f'pred and gt must be vectors of one length, got shapes {pred.shape} and {gt.shape}'
        )
    for name, values, valid, wanted in (
        ('pred', pred, np.isfinite(pred), 'a finite number'),
        ('gt', gt, np.isfinite(gt) & (gt >= 0), 'a finite number >= 0'),
    ):
        if not valid.all():
            index = int(np.argmin(valid))
            raise ValueError(f'{name}[{index}] is {values[index]}, expected {wanted}')
    return pred, gt


def _mean(values: np.ndarray) -> float:
    # Added up one after the other, as the programs of the benchmarks do: the last digit is theirs.
    return float(values.cumsum()[-1] / values.size) if values.size else float('nan')
