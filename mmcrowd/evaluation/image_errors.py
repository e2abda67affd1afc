"""Errors of single images, pooled errors, and the images with the largest errors."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import zip_longest

import numpy as np

from mmcrowd.evaluation.functional.counting import count_errors
from mmcrowd.evaluation.functional.localization import (
    localization_scores,
    match_heads,
    match_points,
)
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.ops.heads import HEAD_LEVELS, HEAD_RADII
from mmcrowd.ops.neighbours import nearest_neighbour_distances

__all__ = ['ImageErrors', 'by_absolute_error', 'count_arrays', 'pooled_errors', 'worst_images']


class ImageErrors:
    """Errors of the result of one image.

    A predicted point is right by a matching of largest size, see
    :func:`~mmcrowd.evaluation.functional.match_points`. Which one of several heads in reach of one
    predicted point counts as missed is then left to the matching.

    Args:
        result: Truth and prediction.
        radius: Farthest distance in pixels of a predicted point from its true point, or one of
            :data:`~mmcrowd.ops.heads.HEAD_RADII` for the small or large radius of each head, which
            needs ``gt_sigmas`` or ``gt_boxes``. Defaults to 8.

    Attributes:
        result: The result.
        error: Predicted minus true count; None without truth.
        absolute: Its absolute value.
        relative: Error divided by the true count; None without truth or with nobody there.
        located: Whether true and predicted points are known.
        right: ``(k,)`` bool, the predicted points with a true point; None if not ``located``.
        found: ``(m,)`` bool, the true points with a predicted point; None if not ``located``.

    Raises:
        ValueError: The radius is no positive number and no name of one, or a name where the sizes
            of the heads are not known; a count or point is not finite, or a level is not in 0..5.
            The image is named.

    Examples:
        >>> truth = dict(gt_count=2, gt_points=[(0, 0), (9, 9)])
        >>> prediction = dict(pred_count=1, pred_points=[(0, 3)])
        >>> image = ImageErrors(ImageResult(img_id='a', **truth, **prediction))
        >>> image.error, image.relative, image.matches
        (-1, -0.5, (1, 0, 1))
    """

    def __init__(self, result: ImageResult, radius: float | str = 8.0):
        _check_radius(radius)
        _check_result(result)
        self.result = result
        self.error = self.absolute = self.relative = None
        if result.gt_count is not None:
            self.error = result.pred_count - result.gt_count
            self.absolute = abs(self.error)
            if result.gt_count > 0:
                self.relative = self.error / result.gt_count
        self.located = result.gt_points is not None and result.pred_points is not None
        self.right = self.found = None
        if self.located:
            pred, gt = _match(result, radius)
            self.right = np.isin(np.arange(len(result.pred_points)), pred)
            self.found = np.isin(np.arange(len(result.gt_points)), gt)

    @property
    def matches(self) -> tuple[int, int, int]:
        """Numbers of points found (TP), predicted in vain (FP) and missed (FN)."""
        return int(self.found.sum()), int((~self.right).sum()), int((~self.found).sum())

    @property
    def f1(self) -> float | None:
        """F1 of the points; None also where there is nobody and nobody was predicted."""
        if not self.located or sum(self.matches) == 0:
            return None
        return localization_scores(*self.matches)['F1']

    @cached_property
    def spacing(self) -> np.ndarray:
        """``(m,)`` distance in pixels of each true point to its nearest neighbour, or inf."""
        return nearest_neighbour_distances(self.result.gt_points)


def pooled_errors(images: Sequence[ImageErrors]) -> dict[str, float]:
    """Errors over all images, as the metrics have them.

    Args:
        images: At least one.

    Returns:
        ``predicted`` and ``true``, the sums of the counts, ``MAE``, ``RMSE``, ``NAE`` and ``bias``
        (the mean error) of the images with truth; without any only ``predicted``, the sum over all
        images. Where true and predicted points are known also ``P``, ``R`` and ``F1``.
    """
    judged = [image for image in images if image.error is not None]
    pred, gt = count_arrays(judged or images)
    errors = dict(predicted=float(pred.sum()))
    if judged:
        errors |= dict(true=float(gt.sum()), bias=float((pred - gt).mean()))
        errors |= count_errors(pred, gt)
    if located := [image.matches for image in images if image.located]:
        errors |= localization_scores(*np.sum(located, axis=0).tolist())
    return errors


def count_arrays(images: Sequence[ImageErrors]) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true counts of n images, ``(n,)`` float64 each, nan without truth."""
    counts = [(image.result.pred_count, image.result.gt_count) for image in images]
    return tuple(np.array(counts, np.float64).T)


def by_absolute_error(images: Iterable[ImageErrors]) -> list[ImageErrors]:
    """The images, those with the largest error first and those without truth last."""
    return sorted(images, key=lambda i: -1 if i.absolute is None else i.absolute, reverse=True)


def worst_images(images: Sequence[ImageErrors], number: int) -> list[ImageErrors]:
    """The images with the largest errors, each once.

    They are taken in turns from the orders by absolute error, by relative error and by F1.

    Args:
        images: To choose from; those without truth are never chosen.
        number: How many to choose at most.

    Returns:
        The chosen ones by absolute error.
    """
    orders = (
        by_absolute_error(images),
        sorted((i for i in images if i.relative is not None), key=lambda i: -abs(i.relative)),
        sorted((i for i in images if i.f1 is not None), key=lambda i: i.f1),
    )
    turns = (image for turn in zip_longest(*orders) for image in turn)
    chosen = dict.fromkeys(image for image in turns if image and image.error is not None)
    return by_absolute_error(list(chosen)[:number])


def _match(result: ImageResult, radius: float | str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of predicted and true points that match."""
    points = result.pred_points, result.gt_points
    if radius not in HEAD_RADII:
        return match_points(*points, radius)
    sigmas = result.head_sigmas()
    if sigmas is None:
        raise ValueError(
            f'image {result.img_id!r} has neither gt_sigmas nor gt_boxes; give the radius in pixels'
        )
    return match_heads(*points, sigmas, [radius])[0]


def _check_radius(radius: float | str) -> None:
    by_head = isinstance(radius, str)
    if (radius not in HEAD_RADII) if by_head else not (math.isfinite(radius) and radius > 0):
        raise ValueError(
            f'radius is {radius!r}, expected pixels > 0 or one of {", ".join(HEAD_RADII)}'
        )


def _check_result(result: ImageResult) -> None:
    where = f'image {result.img_id!r}'
    if not math.isfinite(result.pred_count):
        raise ValueError(f'{where}: pred_count is {result.pred_count}, expected a number')
    for name in ('pred_points', 'gt_points'):
        points = getattr(result, name)
        if points is not None and not np.isfinite(points).all():
            raise ValueError(f'{where}: {name} has a value that is not finite')
    levels = result.head_levels()
    if levels is not None and not np.isin(levels, range(len(HEAD_LEVELS))).all():
        raise ValueError(f'{where}: gt_levels are {np.unique(levels).tolist()}, expected 0 to 5')
