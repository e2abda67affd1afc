"""Boxes of heads, and masks of them: the targets of IIM (Gao et al.: *Learning Independent Instance
Maps for Crowd Localization*, arXiv 2012.04164)."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmcrowd.ops.box_overlap import check_boxes
from mmcrowd.ops.checks import check_at_least
from mmcrowd.ops.neighbours import neighbour_distances
from mmcrowd.ops.separate_boxes import separate_boxes
from mmcrowd.registry import TRANSFORMS

NEIGHBOURS = 3  # of a point, whose mean distance stands for the size of its head


@TRANSFORMS.register_module()
class PseudoBoxes(BaseTransform):
    """Give each point a square box by the distance of its neighbours, in place of any that it has.

    Its side is the mean distance to the three nearest other points times ``share``. This rule is
    ours: the program of IIM takes the sides of points without boxes from a network that predicts
    areas of heads, whose weights we do not have. Place it before the crop, where all neighbours
    are there. Required key: ``points``. Added key: ``boxes`` float32 (m, 4) xyxy.

    Args:
        share: Defaults to 1.0.
        sides: Smallest and largest side in pixels of the image as it is here. A point that is alone
            gets the largest. Defaults to (7.0, 50.0).

    Raises:
        ValueError: ``share`` or a side is not positive, or the smallest is above the largest.

    Examples:
        >>> results = dict(points=np.float32([[10, 10], [30, 10]]))
        >>> PseudoBoxes()(results)['boxes'].tolist()
        [[0.0, 0.0, 20.0, 20.0], [20.0, 0.0, 40.0, 20.0]]
    """

    def __init__(self, share: float = 1.0, sides: tuple[float, float] = (7.0, 50.0)):
        if not share > 0 or not _is_range(sides):
            raise ValueError(f'share={share!r}, sides={sides!r}, expected positive, ascending')
        self.share = share
        self.sides = (sides[0], sides[1])

    def transform(self, results: dict) -> dict:
        points = np.asarray(results['points'], np.float64).reshape(-1, 2)
        distances = neighbour_distances(points, NEIGHBOURS)
        side = np.full(len(points), np.inf)
        if distances.shape[1]:
            side = distances.mean(1) * self.share
        half = np.clip(side, *self.sides)[:, None] / 2
        results['boxes'] = np.concatenate([points - half, points + half], 1).astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(share={self.share}, sides={self.sides})'


@TRANSFORMS.register_module()
class SeparateBoxes(BaseTransform):
    """Shrink the boxes until those of neighbours are apart, see
    :func:`~mmcrowd.ops.separate_boxes.separate_boxes`.

    Centres and half sides are cut down to whole pixels first, and the half sides limited. Place it
    before the crop, where all neighbours are there, and after the resize: the numbers are pixels of
    the network's input. Required and changed key: ``boxes``.

    Args:
        limits: Smallest and largest half side at the beginning, at least 1. Defaults to (3, 25), of
            NWPU-Crowd and ShanghaiTech; (3, 15) for UCF-QNRF and JHU-Crowd++.
        least: See the function; at least 1, so that no box vanishes. Defaults to 2.
        rounds: See the function. Defaults to 41.
        narrow_gap: See the function. Defaults to True.
        next_gap: See the function. Defaults to 3.

    Raises:
        KeyError: The results have no boxes.
        ValueError: The limits are not two numbers in ascending order, another number is no integer
            or too small, or a box is reversed or not finite.

    Examples:
        >>> results = dict(boxes=np.float32([[5, 5, 15, 15], [12, 6, 20, 14]]))
        >>> SeparateBoxes()(results)['boxes'].tolist()
        [[7.5, 7.5, 11.5, 11.5], [12.5, 6.5, 18.5, 12.5]]
    """

    def __init__(
        self,
        limits: tuple[int, int] = (3, 25),
        least: int = 2,
        rounds: int = 41,
        narrow_gap: bool = True,
        next_gap: int | None = 3,
    ):
        if not _is_range(limits, least=1):
            raise ValueError(
                f'SeparateBoxes: limits={limits!r}, expected two numbers from 1 on, ascending'
            )
        check_at_least(self, 1, least=least)
        check_at_least(self, 0, rounds=rounds)
        if next_gap is not None:
            check_at_least(self, 0, next_gap=next_gap)
        self.limits = (limits[0], limits[1])
        self.rule: dict[str, Any] = dict(
            least=least, rounds=rounds, narrow_gap=narrow_gap, next_gap=next_gap
        )

    def transform(self, results: dict) -> dict:
        boxes = take_boxes(results, self)
        centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.int64)
        half = np.clip((boxes[:, 2:] - boxes[:, :2]) / 2, *self.limits).astype(np.int64)
        half = separate_boxes(centres, half, **self.rule)
        # The pixels from c - half to c + half - 1, between their outer edges.
        corners = np.concatenate([centres - half, centres + half], 1) - 0.5
        results['boxes'] = corners.astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(limits={self.limits}, {self.rule})'


@TRANSFORMS.register_module()
class BoxMask(BaseTransform):
    """Draw the boxes as a mask: 1 where the centre of a pixel lies in one, else 0.

    A box that is thinner than a pixel and has no centre in it, such as the boxes of no size that
    JHU-Crowd++ gives some heads, takes up the column or row that its middle lies in, so that each
    head has its pixel. Of what lies outside of the image nothing is drawn.

    Place it after the last geometric transform. Required keys: ``img``, ``boxes``. Added key:
    ``gt_maps`` with ``mask`` uint8 (1, h, w), one value for each pixel.

    Raises:
        KeyError: The results have no boxes.
        ValueError: A box is reversed or not finite.

    Examples:
        >>> img, boxes = np.zeros((2, 5, 3), np.uint8), np.float32([[0.5, -0.5, 2.5, 0.5]])
        >>> BoxMask()(dict(img=img, boxes=boxes))['gt_maps']['mask'].tolist()
        [[[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]]
    """

    def transform(self, results: dict) -> dict:
        boxes = take_boxes(results, self)
        height, width = results['img'].shape[:2]
        mask = np.zeros((1, height, width), np.uint8)
        first, end = np.ceil(boxes[:, :2]), np.floor(boxes[:, 2:]) + 1
        middle = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 + 0.5)
        thin = first >= end
        first, end = np.where(thin, middle, first), np.where(thin, middle + 1, end)
        first, end = (x.clip(0, (width, height)).astype(np.int64) for x in (first, end))
        for (left, top), (right, bottom) in zip(first.tolist(), end.tolist(), strict=True):
            mask[0, top:bottom, left:right] = 1
        results.setdefault('gt_maps', {})['mask'] = mask
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def take_boxes(
    results: dict, transform: BaseTransform, hint: str = '; put PseudoBoxes before it'
) -> np.ndarray:
    """The boxes ``(m, 4)`` of the results, float64.

    Args:
        results: Results of a pipeline.
        transform: The transform that needs them; errors name its class.
        hint: End of the message where there are none. Defaults to the advice to make some.

    Raises:
        KeyError: There are none.
        ValueError: A box is reversed or not finite.
    """
    if 'boxes' not in results:
        raise KeyError(f'{type(transform).__name__}: {results.get("img_path")} has no boxes{hint}')
    boxes = np.asarray(results['boxes'], np.float64).reshape(-1, 4)
    check_boxes(boxes, f'{type(transform).__name__}: {results.get("img_path")}: ')
    return boxes


def _is_range(values: Any, least: float = 0) -> bool:
    """Whether these are two positive, finite numbers from ``least`` on, ascending."""
    array = np.asarray(values)
    if array.shape != (2,) or array.dtype.kind not in 'iuf':
        return False
    return bool(0 < array[0] <= array[1] < np.inf and array[0] >= least)
