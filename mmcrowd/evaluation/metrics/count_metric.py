import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from mmcrowd.evaluation.functional.counting import (
    ATTRIBUTE_CLASSES,
    COUNT_CLASSES,
    count_errors,
    count_errors_by_attribute,
    count_errors_by_class,
    density_by_region,
    game,
    mean_over_classes,
    points_by_region,
)
from mmcrowd.evaluation.image_result import original_truth
from mmcrowd.registry import METRICS

CountClasses = Mapping[str, tuple[int, int | None]]
AttributeClasses = Mapping[str, tuple[str, Iterable]]


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
      count and by attribute; ``nan`` for a class without images.
    - ``count/MAE_by_count`` (RMSE, NAE), if there are several classes by true count, and
      ``count/MAE_by_{attribute}``, if there are several classes of an attribute: the plain mean
      over these classes, "Avg." of the NWPU leaderboard. Classes with ``nan`` are left out.
    - ``count/GAME{L}`` for each of ``game_levels``, see
      :func:`~mmcrowd.evaluation.functional.game`. If the model predicts a density, the regions are
      parts of the un-padded image in the input frame; if it only predicts points, parts of the
      image in the original frame.

    Every rank keeps one tuple ``(img_id, pred_count, gt_count, attributes, game_errors)`` per image
    in ``self.results``; in distributed evaluation MMEngine interleaves them and cuts off the images
    that pad the last round, so that each image counts once.

    Args:
        count_classes: Classes by true count: name to ``(lowest, highest)``, both included,
            ``highest=None`` for no upper end; or the name of a benchmark in
            :data:`~mmcrowd.evaluation.functional.COUNT_CLASSES`, ``'jhu'`` or ``'nwpu'``.
            Defaults to None, no classes.
        attribute_classes: Classes by the benchmark's labels of the images: name to ``(attribute,
            values)``, the images of which that attribute has one of the values; or the name of a
            benchmark in :data:`~mmcrowd.evaluation.functional.ATTRIBUTE_CLASSES`, ``'jhu'`` or
            ``'nwpu'``. Defaults to None, no classes.
        game_levels: Levels L of GAME. Defaults to none.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Replaces ``count`` in the printed keys.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: For an unknown benchmark, an impossible range in ``count_classes``, a class name
            given twice or a negative level; while processing, for a count that is not finite or a
            negative truth, naming the image.
        KeyError: While processing, for a sample without ``gt_count`` or ``pred_count``, without an
            attribute that ``attribute_classes`` asks for, or without what GAME needs:
            ``gt_instances`` and either ``pred_density`` with ``density_stride`` or
            ``pred_instances``.

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
        for level in game_levels:
            if not isinstance(level, int) or level < 0:
                raise ValueError(f'game_levels={game_levels!r}: expected whole numbers >= 0')
        self.game_levels = tuple(game_levels)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep image id, counts, attributes and regional errors of each sample."""
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
            attributes = self._attributes_of(img_id, sample)
            game_errors = self._game_errors_of(img_id, sample) if self.game_levels else ()
            self.results.append((img_id, pred, gt, attributes, game_errors))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Errors over the collected tuples of all ranks."""
        errors = self.calculate(
            [pred for _, pred, *_ in results],
            [gt for _, _, gt, *_ in results],
            self.count_classes,
            self.attribute_classes,
            [attributes for *_, attributes, _ in results],
        )
        for k, level in enumerate(self.game_levels):
            values = [game_errors[k] for *_, game_errors in results]
            errors[f'GAME{level}'] = float(np.mean(values)) if values else float('nan')
        return errors

    @staticmethod
    def calculate(
        pred: Sequence[float],
        gt: Sequence[float],
        count_classes: CountClasses | str | None = None,
        attribute_classes: AttributeClasses | str | None = None,
        attributes: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, float]:
        """The same numbers on plain arrays, without the engine.

        Only GAME is not among them, since it needs more than the counts: see
        :func:`~mmcrowd.evaluation.functional.game`.

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

    def _attributes_of(self, img_id: str, sample: Mapping) -> dict[str, Any]:
        """The attributes that the classes ask for."""
        labels = sample.get('attributes') or {}
        needed = {attribute for attribute, _ in self.attribute_classes.values()}
        missing = sorted(needed - labels.keys())
        if missing:
            raise KeyError(
                f'image {img_id!r}: attribute_classes need the attribute {missing[0]!r}, '
                f'the sample has only {sorted(labels)}'
            )
        return {attribute: labels[attribute] for attribute in sorted(needed)}

    def _game_errors_of(self, img_id: str, sample: Mapping) -> tuple[float, ...]:
        """Error of this image at each level."""
        truth = _numpy(_needed(sample, 'gt_instances', img_id)['points']).reshape(-1, 2)
        if 'pred_density' in sample:
            density = _numpy(sample['pred_density']['density'])[0]
            stride = _needed(sample, 'density_stride', img_id)
            shape = _needed(sample, 'img_shape', img_id)

            def predicted(level: int) -> np.ndarray:
                return density_by_region(density, shape, stride, level)

        else:
            points = _numpy(_needed(sample, 'pred_instances', img_id)['points'])
            shape = _needed(sample, 'ori_shape', img_id)
            truth = original_truth(sample)['points']

            def predicted(level: int) -> np.ndarray:
                return points_by_region(points, shape, level)

        return tuple(
            game([predicted(level)], [points_by_region(truth, shape, level)])
            for level in self.game_levels
        )


def _needed(sample: Mapping, key: str, img_id: str) -> Any:
    if key not in sample:
        raise KeyError(f'image {img_id!r}: game_levels need {key}, the sample has none')
    return sample[key]


def _numpy(values: torch.Tensor | np.ndarray) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().double().numpy()


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
