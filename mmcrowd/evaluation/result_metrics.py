"""All metrics of stored results, without a model and without the engine's loop."""

from collections.abc import Sequence

from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.evaluation.metrics.count_metric import AttributeClasses, CountClasses, CountMetric
from mmcrowd.evaluation.metrics.localization_metric import LocalizationMetric
from mmcrowd.fileio.tables import markdown_table
from mmcrowd.ops.heads import HEAD_RADII

__all__ = ['evaluate_results', 'metric_tables']


def evaluate_results(
    results: Sequence[ImageResult],
    radii: str | float | Sequence[str | float] | None = None,
    count_classes: CountClasses | str | None = 'nwpu',
    attribute_classes: AttributeClasses | str | None = None,
) -> dict[str, float]:
    """Metrics of results, with the keys that they have in a test run.

    Args:
        results: One per image, all with a true count; see
            :func:`~mmcrowd.evaluation.load_results` and
            :func:`~mmcrowd.evaluation.formats.nwpu.read_results`.
        radii: As in :class:`~mmcrowd.evaluation.LocalizationMetric`. Defaults to the two radii of
            each head, if all images have true and predicted points.
        count_classes: As in :class:`~mmcrowd.evaluation.CountMetric`. Defaults to the scene levels
            of NWPU-Crowd.
        attribute_classes: As in :class:`~mmcrowd.evaluation.CountMetric`. Defaults to none.

    Returns:
        ``loc/...`` of :class:`~mmcrowd.evaluation.LocalizationMetric`, where points are known, and
        ``count/...`` of :class:`~mmcrowd.evaluation.CountMetric`.

    Raises:
        ValueError: ``radii`` are given, but an image has only counts; or a result has no truth,
            naming the image.

    Examples:
        >>> results = [ImageResult(img_id='a', pred_count=12, gt_count=10)]
        >>> evaluate_results(results, count_classes=None)
        {'count/MAE': 2.0, 'count/RMSE': 2.0, 'count/NAE': 0.2, 'count/selection': 10.0}
    """
    for result in results:
        if result.gt_count is None:
            raise ValueError(f'image {result.img_id!r} has no gt_count, nothing to compare with')
    metrics = {}
    if all(r.pred_points is not None and r.gt_points is not None for r in results):
        found = LocalizationMetric.calculate(
            [r.pred_points for r in results],
            [r.gt_points for r in results],
            HEAD_RADII if radii is None else radii,
            gt_sigmas=[r.head_sigmas() for r in results],
            gt_levels=[r.head_levels() for r in results],
        )
        metrics |= {f'loc/{key}': float(value) for key, value in found.items()}
    elif radii is not None:
        raise ValueError(
            f'radii={radii!r}: some images have only counts, there are no points to compare'
        )
    counts = CountMetric.calculate(
        [r.pred_count for r in results],
        [r.gt_count for r in results],
        count_classes,
        attribute_classes,
        [r.attributes for r in results],
    )
    return metrics | {f'count/{key}': value for key, value in counts.items()}


def metric_tables(metrics: dict[str, float]) -> str:
    """Metrics as tables in Markdown: one row per radius, one per class of the count, all digits.

    Args:
        metrics: From :func:`evaluate_results`.

    Examples:
        >>> print(metric_tables({'count/MAE': 2.0, 'count/NAE': 0.25, 'count/MAE_low': 1.5}))
        | images | MAE | NAE  |
        |--------|-----|------|
        | all    | 2.0 | 0.25 |
        | low    | 1.5 |      |
    """
    loc, count = {}, {}
    for key, value in metrics.items():
        kind, name = key.split('/')
        separator, rows = ('@', loc) if kind == 'loc' else ('_', count)
        column, _, row = name.partition(separator)
        if column != 'selection':
            rows.setdefault(row or 'all', {})[column] = repr(value)
    return '\n\n'.join(
        _table(title, rows) for title, rows in (('radius', loc), ('images', count)) if rows
    )


def _table(title: str, rows: dict[str, dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return markdown_table(
        [title, *columns],
        [[name, *(row.get(column, '') for column in columns)] for name, row in rows.items()],
    )
