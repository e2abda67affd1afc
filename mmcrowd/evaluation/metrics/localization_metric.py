import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmcrowd.evaluation.functional.localization import (
    localization_scores,
    match_heads,
    match_points_at_radii,
)
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.ops.heads import HEAD_LEVELS, HEAD_RADII
from mmcrowd.registry import METRICS
from mmcrowd.structures import SampleReader

# Radii at which the benchmarks compare.
LOCALIZATION_PROTOCOLS = {
    # Wang et al., NWPU-Crowd, TPAMI 2020.
    'nwpu': ('sigma_s', 'sigma_l'),
    # Idrees et al., UCF-QNRF, ECCV 2018.
    'qnrf': ('1-100',),
    'shanghaitech': (4, 8),
    'jhu': (4, 8),
}


@dataclass(kw_only=True)
class ImageMatches:
    """What :class:`LocalizationMetric` keeps of one image; ``R`` radii, ranges written out.

    The heads stand in the columns of :data:`HEAD_LEVELS`, or in one column if the levels of this
    image are not known.
    """

    img_id: str
    num_pred: int
    num_gt: np.ndarray  # (6,) or (1,)
    tp: np.ndarray  # (R, 6) or (R, 1)


@METRICS.register_module()
class LocalizationMetric(BaseMetric):
    """Precision, recall and F1 of predicted points, in pixels of the original frame.

    In each image as many predictions as possible are matched one to one with true points within the
    radius of the true point, see :func:`~mmcrowd.evaluation.functional.match_points`. Matched pairs
    (TP), predictions (FP) and true points (FN) that are left are summed over all images, and the
    scores are computed from the sums, see
    :func:`~mmcrowd.evaluation.functional.localization_scores`. An image without true points thus
    gives only FP, one without predictions only FN.

    Printed keys, for each entry of ``radii``, such as ``sigma_l``, ``4`` or ``1-100``:

    - ``loc/P@sigma_l``, ``loc/R@sigma_l``, ``loc/F1@sigma_l``.
    - ``loc/R_A0@sigma_l`` to ``loc/R_A5@sigma_l``, the recall of heads by the area of their box
      (:data:`~mmcrowd.ops.heads.HEAD_LEVELS`), ``nan`` for a level without heads, and
      ``loc/R_A_mean@sigma_l``, the plain mean over the levels with heads. Printed if the boxes (or
      levels) of all images with heads are known. Where matchings of the same size differ in which
      head they leave out, these may differ a little between programs; the other keys cannot.

    A range such as ``'1-100'`` stands for every whole radius, both ends included. Each of its
    values, F1 too, is the mean of the values at the radii; the F1 of the printed mean P and R is
    another number.

    The two radii of NWPU-Crowd come from ``gt_instances.sigmas``, else from ``gt_instances.boxes``
    by :func:`~mmcrowd.ops.heads.box_sigmas`. Its protocol knows integers only: at these
    two radii true and predicted points and sigmas are rounded first, see
    :func:`~mmcrowd.evaluation.functional.match_heads`. At radii in numbers nothing is rounded.

    Images are matched in :meth:`process`, so that in distributed evaluation each rank matches its
    share; what is collected are the counts of :class:`ImageMatches`.

    Args:
        radii: One radius or a sequence of them: ``'sigma_s'``, ``'sigma_l'``, a number of pixels,
            or a range ``'first-last'``; or the name of a benchmark in
            :data:`LOCALIZATION_PROTOCOLS`: ``'nwpu'``, ``'qnrf'``, ``'shanghaitech'``, ``'jhu'``.
            Defaults to ``(4, 8)``.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Replaces ``loc`` in the printed keys.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: For radii of another form; while processing, for points, boxes or radii that
            cannot be used, naming the image.
        KeyError: While processing, for a sample without predicted or true points, or without the
            sigmas or boxes that the radii need, naming the image.

    Examples:
        In a config:

        .. code:: python

            val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric')]
            test_evaluator = dict(type='LocalizationMetric', radii='nwpu')

        On plain arrays, of one image here:

        >>> LocalizationMetric.calculate([[[0, 0], [20, 0]]], [[[0, 3]]], radii=4)
        {'P@4': 0.5, 'R@4': 1.0, 'F1@4': 0.66...}
    """

    default_prefix = 'loc'

    def __init__(
        self,
        radii: str | float | Sequence[str | float] = (4, 8),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.radii = _resolve_radii(radii)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the points of each sample and keep the counts."""
        for sample in data_samples:
            read = SampleReader(sample, 'LocalizationMetric')
            read.require('pred_instances', hint='give the counter a localizer')
            read.require('gt_instances')
            image = ImageResult.from_sample(sample, 'LocalizationMetric')
            self.results.append(
                _match_image(
                    image.img_id,
                    image.pred_points,
                    image.gt_points,
                    self.radii,
                    image.head_sigmas(),
                    image.head_levels(),
                )
            )

    def compute_metrics(self, results: list[ImageMatches]) -> dict[str, float]:
        """Scores over the collected counts of all ranks."""
        return _scores(results, self.radii)

    @staticmethod
    def calculate(
        pred_points: Sequence[np.ndarray],
        gt_points: Sequence[np.ndarray],
        radii: str | float | Sequence[str | float] = (4, 8),
        gt_sigmas: Sequence[np.ndarray] | None = None,
        gt_levels: Sequence[np.ndarray] | None = None,
    ) -> dict[str, float]:
        """The same numbers on plain arrays, without the engine.

        Args:
            pred_points: For each image ``(k, 2)`` predicted points in the original frame.
            gt_points: For each image ``(m, 2)`` true points in the original frame.
            radii: As in the constructor.
            gt_sigmas: For each image ``(m, 2)`` small and large radius of each head; needed for
                the radii ``'sigma_s'`` and ``'sigma_l'``.
            gt_levels: For each image ``(m,)`` levels of the head area, 0 to 5.

        Returns:
            The values of the printed keys, without prefix.
        """
        radii = _resolve_radii(radii)
        return _scores(_match_images(pred_points, gt_points, radii, gt_sigmas, gt_levels), radii)

    @staticmethod
    def calculate_per_image(
        pred_points: Sequence[np.ndarray],
        gt_points: Sequence[np.ndarray],
        radii: str | float | Sequence[str | float] = (4, 8),
        gt_sigmas: Sequence[np.ndarray] | None = None,
    ) -> dict[str, dict[str, np.ndarray]]:
        """Counts of each image, to find those with the most errors.

        Args:
            pred_points: As in :meth:`calculate`, for ``n`` images.
            gt_points: As in :meth:`calculate`.
            radii: As in the constructor; a range is written out.
            gt_sigmas: As in :meth:`calculate`.

        Returns:
            For each radius, such as ``'sigma_l'``, ``'4'``, ``'100'``, a dict of ``tp``, ``fp`` and
            ``fn``, ``(n,)`` int64 each.

        Examples:
            >>> LocalizationMetric.calculate_per_image([[[0, 0], [20, 0]]], [[[0, 3]]], radii=4)
            {'4': {'tp': array([1]), 'fp': array([1]), 'fn': array([0])}}
        """
        radii = _resolve_radii(radii)
        images = _match_images(pred_points, gt_points, radii, gt_sigmas, None)
        num_pred = np.array([image.num_pred for image in images], np.int64)
        num_gt = np.array([image.num_gt.sum() for image in images], np.int64)
        counts = {}
        for column, radius in enumerate(_written_out(radii)):
            tp = np.array([image.tp[column].sum() for image in images], np.int64)
            counts[_label(radius)] = {'tp': tp, 'fp': num_pred - tp, 'fn': num_gt - tp}
        return counts


def _resolve_radii(
    radii: str | float | Sequence[str | float],
) -> dict[str, tuple[str | float, ...]]:
    """What is printed after the @, and the radii that it is the mean of."""
    if isinstance(radii, str):
        radii = LOCALIZATION_PROTOCOLS.get(radii, (radii,))
    elif isinstance(radii, Real):
        radii = (radii,)
    resolved = {}
    for radius in radii:
        ends = re.fullmatch(r'([0-9]+)-([0-9]+)', radius) if isinstance(radius, str) else None
        if ends and int(ends[1]) <= int(ends[2]):
            resolved[radius] = tuple(float(r) for r in range(int(ends[1]), int(ends[2]) + 1))
        elif radius in HEAD_RADII:
            resolved[radius] = (radius,)
        elif isinstance(radius, Real) and 0 <= radius < math.inf:
            resolved[_label(radius)] = (float(radius),)
        else:
            raise ValueError(
                f"radii has {radius!r}, expected 'sigma_s', 'sigma_l', a number >= 0, a range such "
                f"as '1-100', or for all of radii one of {sorted(LOCALIZATION_PROTOCOLS)}"
            )
    if not resolved:
        raise ValueError('radii is empty, expected one radius or more')
    return resolved


def _label(radius: str | float) -> str:
    return radius if isinstance(radius, str) else f'{radius:g}'


def _written_out(radii: dict[str, tuple[str | float, ...]]) -> list[str | float]:
    """Every radius once, numbers ascending, which is the fast order."""
    members = {radius for group in radii.values() for radius in group}
    named = [name for name in HEAD_RADII if name in members]
    return named + sorted(members.difference(HEAD_RADII))


def _match_images(
    pred_points: Sequence[np.ndarray],
    gt_points: Sequence[np.ndarray],
    radii: dict[str, tuple[str | float, ...]],
    gt_sigmas: Sequence[np.ndarray] | None,
    gt_levels: Sequence[np.ndarray] | None,
) -> list[ImageMatches]:
    columns = [pred_points, gt_points]
    columns += [[None] * len(gt_points) if c is None else c for c in (gt_sigmas, gt_levels)]
    if len({len(column) for column in columns}) > 1:
        raise ValueError(
            'pred_points, gt_points, gt_sigmas and gt_levels are of '
            f'{", ".join(str(len(column)) for column in columns)} images, expected the same number'
        )
    return [
        _match_image(str(index), pred, gt, radii, sigmas, levels)
        for index, (pred, gt, sigmas, levels) in enumerate(zip(*columns, strict=True))
    ]


def _match_image(
    img_id: str,
    pred: np.ndarray,
    gt: np.ndarray,
    radii: dict[str, tuple[str | float, ...]],
    sigmas: np.ndarray | None,
    levels: np.ndarray | None,
) -> ImageMatches:
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    radii = _written_out(radii)
    names = [radius for radius in radii if radius in HEAD_RADII]
    numbers = radii[len(names) :]
    if len(gt) == 0:  # every level and every radius of nothing is known
        sigmas, levels = np.empty((0, 2)), []
    if names and sigmas is None:
        raise KeyError(
            f'image {img_id!r}: radius {names[0]!r} needs sigmas or boxes of the heads, got neither'
        )
    matchings = []
    try:
        if names:
            matchings += match_heads(pred, gt, sigmas, names)
        matchings += match_points_at_radii(pred, gt, numbers)
        column, width = _columns(levels, len(gt))
    except ValueError as error:
        raise ValueError(f'image {img_id!r}: {error}') from None
    return ImageMatches(
        img_id=img_id,
        num_pred=len(pred),
        num_gt=np.bincount(column, minlength=width),
        tp=np.stack([np.bincount(column[index], minlength=width) for _, index in matchings]),
    )


def _columns(levels: np.ndarray | None, num_gt: int) -> tuple[np.ndarray, int]:
    """Column of each head in :class:`ImageMatches`, and the number of columns."""
    if levels is None:
        return np.zeros(num_gt, np.int64), 1
    levels = np.asarray(levels, np.int64)
    if levels.shape != (num_gt,):
        raise ValueError(f'levels have shape {levels.shape}, expected ({num_gt},)')
    if num_gt and not (levels.min() >= 0 and levels.max() < len(HEAD_LEVELS)):
        raise ValueError(f'levels are {levels.min()} to {levels.max()}, expected 0 to 5')
    return levels, len(HEAD_LEVELS)


def _scores(
    images: Sequence[ImageMatches], radii: dict[str, tuple[str | float, ...]]
) -> dict[str, float]:
    rows = {radius: row for row, radius in enumerate(_written_out(radii))}
    num_pred = sum(image.num_pred for image in images)
    num_gt = sum(int(image.num_gt.sum()) for image in images)
    tp = sum((image.tp.sum(1) for image in images), np.zeros(len(rows), np.int64)).tolist()
    by_level = bool(images) and all(len(image.num_gt) == len(HEAD_LEVELS) for image in images)
    if by_level:
        level_gt = sum(image.num_gt for image in images)
        level_tp = sum(image.tp for image in images)
        level_recall = np.divide(
            level_tp, level_gt, out=np.full(level_tp.shape, np.nan), where=level_gt > 0
        )
    scores = {}
    for label, members in radii.items():
        group = [rows[radius] for radius in members]
        single = [localization_scores(tp[r], num_pred - tp[r], num_gt - tp[r]) for r in group]
        for key in single[0]:
            scores[f'{key}@{label}'] = float(np.mean([score[key] for score in single]))
        if by_level:
            recall = level_recall[group].mean(0)
            for level, value in zip(HEAD_LEVELS, recall.tolist(), strict=True):
                scores[f'R_{level}@{label}'] = value
            known = recall[level_gt > 0]
            scores[f'R_A_mean@{label}'] = float(known.mean()) if known.size else float('nan')
    return scores
