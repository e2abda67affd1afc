"""Counting errors on plain arrays."""

from collections.abc import Mapping, Sequence

import numpy as np

# Classes by true count, both ends included, None for no upper end.
COUNT_CLASSES = {
    # Sindagi et al., JHU-CROWD++, TPAMI 2020.
    'jhu': {'low': (0, 50), 'medium': (51, 500), 'high': (501, None)},
    # Wang et al., NWPU-Crowd, TPAMI 2020: the scene levels.
    'nwpu': {'S0': (0, 0), 'S1': (1, 100), 'S2': (101, 500), 'S3': (501, 5000), 'S4': (5001, None)},
}


def count_errors(pred: Sequence[float], gt: Sequence[float]) -> dict[str, float]:
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
    pred: Sequence[float],
    gt: Sequence[float],
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
    errors = {}
    for name, (lowest, highest) in classes.items():
        member = (gt >= lowest) & (gt <= (np.inf if highest is None else highest))
        for key, value in count_errors(pred[member], gt[member]).items():
            errors[f'{key}_{name}'] = value
    return errors


def _validated(pred: Sequence[float], gt: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
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
    return float(values.mean()) if values.size else float('nan')
