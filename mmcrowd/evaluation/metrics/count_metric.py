import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmcrowd.evaluation.functional.counting import (
    ATTRIBUTE_CLASSES,
    COUNT_CLASSES,
    count_errors,
    count_errors_by_attribute,
    count_errors_by_class,
    mean_over_classes,
)
from mmcrowd.evaluation.metrics.game_metric import GAMEMetric, errors_of_sample, mean_errors
from mmcrowd.registry import METRICS
from mmcrowd.structures import SampleReader

CountClasses = Mapping[str, tuple[int, int | None]]
AttributeClasses = Mapping[str, tuple[str, Iterable]]


@dataclass(kw_only=True)
class ImageCounts:
    """What :class:`CountMetric` keeps of one image.

    Attributes:
        img_id: Name of the image.
        pred: Predicted count.
        gt: True count.
        attributes: Labels of the image, those that the classes ask for.
        game_errors: Errors of its regions at each of ``game_levels``.
    """

    img_id: str
    pred: float
    gt: float
    attributes: dict[str, Any]
    game_errors: tuple[float, ...] = ()


@METRICS.register_module()
class CountMetric(BaseMetric):
    """Counting errors over a set of images.

    Printed keys:

    - ``count/MAE``, ``count/RMSE`` (papers of this field print the latter as "MSE") and
      ``count/NAE`` (over images with somebody in them, ``nan`` if there is none), see
      :func:`~mmcrowd.evaluation.functional.count_errors`.
    - ``count/selection`` = 4 MAE + RMSE, the score by which Lin et al. (ICLR 2025) select a
      checkpoint: ``CheckpointHook(save_best='count/selection', rule='less')``. The formula is
      written to the log once, with the first numbers.
    - ``count/MAE_{class}``, ``count/RMSE_{class}``, ``count/NAE_{class}`` for each class by true
      count and by attribute; ``nan`` for a class without images.
    - ``count/MAE_by_count`` (RMSE, NAE), if there are several classes by true count, and
      ``count/MAE_by_{attribute}``, if there are several classes of an attribute: the plain mean
      over these classes, "Avg." of the NWPU leaderboard. Classes with ``nan`` are left out.
    - ``count/GAME{L}`` for each of ``game_levels``.

    Every rank keeps one :class:`ImageCounts` per image in ``self.results``; in distributed
    evaluation MMEngine interleaves them and cuts off the images that pad the last round, so that
    each image counts once.

    Args:
        count_classes: Classes by true count: name to ``(lowest, highest)``, both included,
            ``highest=None`` for no upper end; or the name of a benchmark in
            :data:`~mmcrowd.evaluation.functional.COUNT_CLASSES`, ``'jhu'`` or ``'nwpu'``.
            Defaults to None, no classes.
        attribute_classes: Classes by the benchmark's labels of the images: name to ``(attribute,
            values)``, the images of which that attribute has one of the values; or the name of a
            benchmark in :data:`~mmcrowd.evaluation.functional.ATTRIBUTE_CLASSES`, ``'jhu'`` or
            ``'nwpu'``. Defaults to None, no classes.
        game_levels: Levels of :class:`GAMEMetric`, which prints the same keys and is the place for
            them; this argument works for one more release. Defaults to none.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Replaces ``count`` in the printed keys.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: For an unknown benchmark, an impossible range in ``count_classes``, a class name
            given twice or a negative level; while processing, for a count that is not finite or a
            negative truth, naming the image.
        KeyError: While processing, for a sample without ``gt_count`` or ``pred_count``, without an
            attribute that ``attribute_classes`` asks for, or without what :class:`GAMEMetric`
            needs.

    Examples:
        In a config:

        .. code:: python

            val_evaluator = dict(type='CountMetric')
            test_evaluator = dict(
                type='CountMetric', count_classes='nwpu', attribute_classes='nwpu'
            )

        On plain numbers:

        >>> CountMetric.calculate([12, 0, 95], [10, 0, 100])
        {'MAE': 2.33..., 'RMSE': 3.10..., 'NAE': 0.125, 'selection': 12.44...}
    """

    default_prefix = 'count'

    def __init__(
        self,
        count_classes: CountClasses | str | None = None,
        attribute_classes: AttributeClasses | str | None = None,
        game_levels: Sequence[int] = (),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.count_classes, self.attribute_classes = _resolve_classes(
            count_classes, attribute_classes
        )
        self.game_levels = GAMEMetric(game_levels).levels
        self._formula_is_logged = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep counts and attributes of each sample."""
        for sample in data_samples:
            read = SampleReader(sample, 'CountMetric', sample.get('img_id', len(self.results)))
            pred, gt = float(read.value('pred_count')), float(read.value('gt_count'))
            # Checked here, where the image is known, and on every rank alike.
            if not math.isfinite(pred):
                raise ValueError(f'image {read.img_id!r}: pred_count is {pred}, expected a number')
            if not math.isfinite(gt) or gt < 0:
                raise ValueError(f'image {read.img_id!r}: gt_count is {gt}, expected a number >= 0')
            counts = ImageCounts(
                img_id=str(read.img_id), pred=pred, gt=gt, attributes=self._attributes_of(read)
            )
            if self.game_levels:
                counts.game_errors = errors_of_sample(sample, self.game_levels)
            self.results.append(counts)

    def compute_metrics(self, results: list[ImageCounts]) -> dict[str, float]:
        """Errors over the collected counts of all ranks."""
        if not self._formula_is_logged:
            print_log(f'{self.prefix}/selection is 4 MAE + RMSE.', logger='current')
            self._formula_is_logged = True
        errors = self.calculate(
            [result.pred for result in results],
            [result.gt for result in results],
            self.count_classes,
            self.attribute_classes,
            [result.attributes for result in results],
        )
        return errors | mean_errors([result.game_errors for result in results], self.game_levels)

    @staticmethod
    def calculate(
        pred: Sequence[float],
        gt: Sequence[float],
        count_classes: CountClasses | str | None = None,
        attribute_classes: AttributeClasses | str | None = None,
        attributes: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, float]:
        """The same numbers on plain arrays, without the engine.

        Args:
            pred: ``(n,)`` predicted counts.
            gt: ``(n,)`` true counts.
            count_classes: As in the constructor.
            attribute_classes: As in the constructor.
            attributes: ``n`` mappings from attribute to value; only for ``attribute_classes``.

        Returns:
            The values of the printed keys, without prefix.
        """
        count_classes, attribute_classes = _resolve_classes(count_classes, attribute_classes)
        errors = count_errors(pred, gt)
        errors['selection'] = 4 * errors['MAE'] + errors['RMSE']
        errors |= count_errors_by_class(pred, gt, count_classes)
        if attribute_classes:
            errors |= count_errors_by_attribute(pred, gt, attributes, attribute_classes)
        groups = {'count': list(count_classes)}
        for name, (attribute, _) in attribute_classes.items():
            groups.setdefault(attribute, []).append(name)
        for group, names in groups.items():
            if len(names) > 1:
                for key, value in mean_over_classes(errors, names).items():
                    errors[f'{key}_by_{group}'] = value
        return errors

    def _attributes_of(self, read: SampleReader) -> dict[str, Any]:
        """The attributes that the classes ask for."""
        labels = read.get('attributes', {})
        needed = {attribute for attribute, _ in self.attribute_classes.values()}
        missing = sorted(needed - labels.keys())
        if missing:
            raise KeyError(
                f'image {read.img_id!r}: attribute_classes need the attribute {missing[0]!r}, '
                f'the sample has only {sorted(labels)}'
            )
        return {attribute: labels[attribute] for attribute in sorted(needed)}


def _resolve_classes(
    count_classes: CountClasses | str | None, attribute_classes: AttributeClasses | str | None
) -> tuple[CountClasses, AttributeClasses]:
    count_classes = _look_up('count_classes', count_classes, COUNT_CLASSES)
    attribute_classes = _look_up('attribute_classes', attribute_classes, ATTRIBUTE_CLASSES)
    for name, (lowest, highest) in count_classes.items():
        if highest is not None and highest < lowest:
            raise ValueError(
                f'count_classes[{name!r}] is ({lowest}, {highest}), expected lowest <= highest'
            )
    twice = sorted(count_classes.keys() & attribute_classes.keys())
    if twice:
        raise ValueError(f'count_classes and attribute_classes both have {twice}, expected once')
    return count_classes, attribute_classes


def _look_up(argument: str, classes: Mapping | str | None, benchmarks: Mapping) -> Mapping:
    if not isinstance(classes, str):
        return classes or {}
    if classes not in benchmarks:
        raise ValueError(
            f'{argument}={classes!r}: expected one of {sorted(benchmarks)} or a dict of classes'
        )
    return benchmarks[classes]
