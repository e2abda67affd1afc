import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mmcrowd.evaluation.functional import COUNT_CLASSES, count_errors, count_errors_by_class
from mmcrowd.registry import METRICS


@METRICS.register_module()
class CountMetric(BaseMetric):
    """Counting errors over a set of images.

    Printed keys:

    - ``count/MAE``, ``count/RMSE`` (papers of this field print the latter as "MSE") and
      ``count/NAE`` (over images with somebody in them, ``nan`` if there is none), see
      :func:`~mmcrowd.evaluation.functional.count_errors`.
    - ``count/selection`` = 4 MAE + RMSE, the score by which Lin et al. (ICLR 2025) pick their best
      checkpoint: ``CheckpointHook(save_best='count/selection', rule='less')``.
    - ``count/MAE_{class}``, ``count/RMSE_{class}``, ``count/NAE_{class}`` for each class by true
      count; ``nan`` for a class without images.

    Every rank keeps one tuple ``(img_id, pred_count, gt_count)`` per image in ``self.results``; in
    distributed evaluation MMEngine interleaves them and cuts off the images that pad the last
    round, so that each image counts once.

    Args:
        count_classes: Classes by true count: name to ``(lowest, highest)``, both included,
            ``highest=None`` for no upper end; or the name of a benchmark in
            :data:`~mmcrowd.evaluation.functional.COUNT_CLASSES`, ``'jhu'`` or ``'nwpu'``.
            Defaults to None, no classes.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Replaces ``count`` in the printed keys.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: For an unknown benchmark or an impossible range in ``count_classes``; while
            processing, for a count that is not finite or a negative truth, naming the image.
        KeyError: While processing, for a sample without ``gt_count`` or ``pred_count``.

    Examples:
        In a config:

        .. code:: python

            val_evaluator = dict(type='CountMetric')
            test_evaluator = dict(type='CountMetric', count_classes='jhu')

        On plain numbers:

        >>> CountMetric.calculate([12, 0, 95], [10, 0, 100])
        {'MAE': 2.33..., 'RMSE': 3.10..., 'NAE': 0.125, 'selection': 12.44...}
    """

    default_prefix = 'count'

    def __init__(
        self,
        count_classes: Mapping[str, tuple[int, int | None]] | str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.count_classes = _resolve_classes(count_classes)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep image id, predicted and true count of each sample."""
        for sample in data_samples:
            img_id = sample.get('img_id', len(self.results))
            for key in ('pred_count', 'gt_count'):
                if key not in sample:
                    raise KeyError(f'image {img_id!r}: CountMetric needs {key}, sample has none')
            pred, gt = float(sample['pred_count']), float(sample['gt_count'])
            # Checked here, where the image is known, and on every rank alike.
            if not math.isfinite(pred):
                raise ValueError(f'image {img_id!r}: pred_count is {pred}, expected a number')
            if not math.isfinite(gt) or gt < 0:
                raise ValueError(f'image {img_id!r}: gt_count is {gt}, expected a number >= 0')
            self.results.append((img_id, pred, gt))

    def compute_metrics(self, results: list[tuple[str, float, float]]) -> dict[str, float]:
        """Errors over the collected ``(img_id, pred_count, gt_count)`` of all ranks."""
        pred = [pred for _, pred, _ in results]
        gt = [gt for _, _, gt in results]
        return self.calculate(pred, gt, self.count_classes)

    @staticmethod
    def calculate(
        pred: Sequence[float],
        gt: Sequence[float],
        count_classes: Mapping[str, tuple[int, int | None]] | str | None = None,
    ) -> dict[str, float]:
        """The same numbers on plain arrays, without the engine.

        Args:
            pred: ``(n,)`` predicted counts.
            gt: ``(n,)`` true counts.
            count_classes: As in the constructor.

        Returns:
            The values of the printed keys, without prefix.
        """
        errors = count_errors(pred, gt)
        errors['selection'] = 4 * errors['MAE'] + errors['RMSE']
        return errors | count_errors_by_class(pred, gt, _resolve_classes(count_classes))


def _resolve_classes(
    count_classes: Mapping[str, tuple[int, int | None]] | str | None,
) -> Mapping[str, tuple[int, int | None]]:
    if isinstance(count_classes, str):
        if count_classes not in COUNT_CLASSES:
            raise ValueError(
                f'count_classes={count_classes!r}: expected one of {sorted(COUNT_CLASSES)} or a '
                'dict of ranges'
            )
        return COUNT_CLASSES[count_classes]
    count_classes = count_classes or {}
    for name, (lowest, highest) in count_classes.items():
        if highest is not None and highest < lowest:
            raise ValueError(
                f'count_classes[{name!r}] is ({lowest}, {highest}), expected lowest <= highest'
            )
    return count_classes
