from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmcrowd.evaluation.functional.counting import density_by_region, game, points_by_region
from mmcrowd.registry import METRICS
from mmcrowd.structures import CrowdDataSample, SampleReader


@dataclass(kw_only=True)
class RegionErrors:
    """What :class:`GAMEMetric` keeps of one image.

    Attributes:
        img_id: Name of the image.
        errors: Sum of the absolute errors of its regions at each level.
    """

    img_id: str
    errors: tuple[float, ...]


@METRICS.register_module()
class GAMEMetric(BaseMetric):
    """Counting errors of equal parts of the images: grid average mean absolute error.

    Printed keys: ``count/GAME{L}`` for each of ``levels``, the mean over the images of the absolute
    errors of ``4^L`` regions, see :func:`~mmcrowd.evaluation.functional.game`
    (Guerrero-Gomez-Olmedo et al., IbPRIA 2015). ``GAME0`` is the MAE.

    If the model predicts a density, the regions are parts of the un-padded image in the input
    frame; if it only predicts points, parts of the image in the original frame.

    Args:
        levels: Levels L. Defaults to ``(1, 2, 3)``.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        prefix: Replaces ``count`` in the printed keys.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: For a level that is no whole number >= 0; while processing, for a density that
            is not finite or does not cover the image, naming the image.
        KeyError: While processing, for a sample without ``gt_instances`` or without a prediction:
            ``pred_density``, ``density_stride`` and ``img_shape``, or ``pred_instances`` and
            ``ori_shape``.

    Examples:
        In a config:

        .. code:: python

            test_evaluator = [dict(type='CountMetric'), dict(type='GAMEMetric', levels=(1, 2))]

        On plain arrays, of one image here:

        >>> GAMEMetric.calculate([[[0, 0], [9, 9]]], [(10, 10)], pred_points=[[[9, 0], [9, 9]]])
        {'GAME1': 2.0, 'GAME2': 2.0, 'GAME3': 2.0}
    """

    default_prefix = 'count'

    def __init__(
        self,
        levels: Sequence[int] = (1, 2, 3),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.levels = _checked_levels(levels)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the errors of each sample."""
        for sample in data_samples:
            img_id = str(sample.get('img_id', len(self.results)))
            self.results.append(
                RegionErrors(img_id=img_id, errors=errors_of_sample(sample, self.levels))
            )

    def compute_metrics(self, results: list[RegionErrors]) -> dict[str, float]:
        """Means over the images of all ranks."""
        return mean_errors([result.errors for result in results], self.levels)

    @staticmethod
    def calculate(
        gt_points: Sequence[np.ndarray],
        img_shapes: Sequence[tuple[int, int]],
        *,
        pred_points: Sequence[np.ndarray] | None = None,
        densities: Sequence[np.ndarray] | None = None,
        stride: int | None = None,
        levels: Sequence[int] = (1, 2, 3),
    ) -> dict[str, float]:
        """The same numbers on plain arrays, without the engine.

        Args:
            gt_points: For each image ``(m, 2)`` true points ``(x, y)`` in pixels.
            img_shapes: For each image ``(H, W)`` in the frame of the points.
            pred_points: For each image ``(k, 2)`` predicted points of the same frame; or
            densities: for each image ``(h, w)`` persons per cell of the un-padded area.
            stride: Pixels per cell of the densities.
            levels: As in the constructor.

        Returns:
            The values of the printed keys, without prefix; ``nan`` for no image.

        Raises:
            ValueError: Both or none of ``pred_points`` and ``densities`` are given, densities come
                without their stride, or the lists are of different lengths.
        """
        if (pred_points is None) == (densities is None):
            raise ValueError('expected one of pred_points and densities')
        if (densities is None) != (stride is None):
            raise ValueError(f'stride={stride!r}: expected with densities, and only with them')
        levels = _checked_levels(levels)
        predictions = pred_points if densities is None else densities
        return mean_errors(
            [
                _region_errors(pred, gt, shape, stride, levels)
                for pred, gt, shape in zip(predictions, gt_points, img_shapes, strict=True)
            ],
            levels,
        )


def errors_of_sample(sample: CrowdDataSample | Mapping, levels: Sequence[int]) -> tuple[float, ...]:
    """Absolute errors of the regions of one sample, summed at each level.

    Args:
        sample: Truth and prediction, see :class:`GAMEMetric`.
        levels: Levels L.
    """
    read = SampleReader(sample, 'GAMEMetric')
    read.require('gt_instances')
    if read.density is not None:
        shape, stride = read.value('img_shape'), read.stride()
        return _region_errors(read.density, read.gt_points, shape, stride, levels)
    read.require('pred_instances', hint='GAME takes it where there is no pred_density')
    truth, shape = read.original_truth['points'], read.value('ori_shape')
    return _region_errors(read.pred_points, truth, shape, None, levels)


def mean_errors(errors: Sequence[tuple[float, ...]], levels: Sequence[int]) -> dict[str, float]:
    """``GAME{L}``: means of the errors of images, ``nan`` for no image."""
    means = np.mean(errors, axis=0) if len(errors) else np.full(len(levels), np.nan)
    return {f'GAME{level}': float(mean) for level, mean in zip(levels, means, strict=True)}


def _checked_levels(levels: Sequence[int]) -> tuple[int, ...]:
    if not all(isinstance(level, int) and level >= 0 for level in levels):
        raise ValueError(f'levels={levels!r}: expected whole numbers >= 0')
    return tuple(levels)


def _region_errors(
    pred: np.ndarray,
    gt_points: np.ndarray,
    img_shape: tuple[int, int],
    stride: int | None,
    levels: Sequence[int],
) -> tuple[float, ...]:
    """Errors at each level of a density with its stride, or of points without one."""
    finest = max(levels, default=0)
    if stride is None:
        regions = points_by_region(pred, img_shape, finest)
    else:
        regions = density_by_region(pred, img_shape, stride, finest)
    truth = points_by_region(gt_points, img_shape, finest)
    return tuple(game([_merged(regions, level)], [_merged(truth, level)]) for level in levels)


def _merged(regions: np.ndarray, level: int) -> np.ndarray:
    """Sums over the regions of a level, each of which is made of whole ones of a finer level."""
    parts = 2**level
    side = len(regions) // parts
    return regions.reshape(parts, side, parts, side).sum((1, 3))
