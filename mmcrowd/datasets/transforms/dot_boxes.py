"""Squares around points, smaller where others are near: the targets of TopoCount (Abousamra et al.:
*Localization in the Crowd with Topological Constraints*, AAAI 2021)."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmcrowd.ops.neighbours import nearest_neighbour_distances
from mmcrowd.registry import TRANSFORMS

from .box_mask import take_boxes

SHARE = 0.125  # of the distance to the nearest other point: the sigma of a dot
LARGEST = 3.5  # sigma where the boxes allow no larger one


@TRANSFORMS.register_module()
class DotBoxes(BaseTransform):
    """Give each point a square box by the distance of its nearest neighbour, in place of its own.

    A square has a middle pixel, that of the integer part of the point, and k more on each side. Of
    the distance d to the nearest other point, 2 sigma = d / 4 but at most 7; k is 2 sigma
    rounded, and distances are those of the middle pixels. So it is for ShanghaiTech and UCF-QNRF.
    A point that is alone has the largest square.

    With ``by_box``, as published for JHU-Crowd++ and NWPU-Crowd, 2 sigma may reach half the larger
    side of the point's own box, it is cut down to a whole number, and distances are those of the
    points.

    Place it before the crop, where all neighbours are there, and :class:`BoxMask` after it.
    Required keys: ``points``; ``boxes`` with ``by_box``. Added key: ``boxes`` float32 (m, 4) xyxy,
    at the outer edges of the pixels.

    Args:
        by_box: Defaults to False.

    Raises:
        KeyError: ``by_box``, but the results have no boxes.
        ValueError: ``by_box``, and a box is reversed or not finite.

    Examples:
        >>> results = dict(points=np.float32([[10, 10], [22.9, 10]]))
        >>> DotBoxes()(results)['boxes'].tolist()
        [[6.5, 6.5, 13.5, 13.5], [18.5, 6.5, 25.5, 13.5]]
    """

    def __init__(self, by_box: bool = False):
        self.by_box = by_box

    def transform(self, results: dict) -> dict:
        points = np.asarray(results['points'], np.float64).reshape(-1, 2)
        middle = np.trunc(points)
        if self.by_box:
            boxes = take_boxes(results, self, ', which by_box=True asks for')
            sides = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
            distances = nearest_neighbour_distances(points)
            half = np.floor(self._double_sigma(distances, np.maximum(LARGEST, sides / 4)))
        else:
            distances = nearest_neighbour_distances(middle)
            half = np.floor(self._double_sigma(distances, LARGEST) + 0.5)
        reach = half[:, None] + 0.5
        results['boxes'] = np.concatenate([middle - reach, middle + reach], 1).astype(np.float32)
        return results

    @staticmethod
    def _double_sigma(distances: np.ndarray, largest: float | np.ndarray) -> np.ndarray:
        return 2 * np.minimum(SHARE * distances, largest)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(by_box={self.by_box})'
