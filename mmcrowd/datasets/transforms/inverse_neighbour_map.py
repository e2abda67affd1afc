import numpy as np
from mmcv.transforms import BaseTransform

from mmcrowd.ops.neighbours import mean_cell_distances
from mmcrowd.registry import TRANSFORMS

from .whole_points import target_points


@TRANSFORMS.register_module()
class InverseNeighbourMap(BaseTransform):
    r"""Make the inverse k-nearest-neighbour map of the heads, a target for any map of a network.

    .. math:: M = \frac{1}{1 + \frac{1}{k} \sum_{j=1}^k d_j}

    with the distances :math:`d_j` in pixels from the centre of a cell to the k nearest heads
    (Olmschenk et al.: *Improving Dense Crowd Counting Convolutional Neural Networks using Inverse
    k-Nearest Neighbor Maps and Multiscale Upsampling*, arXiv 1902.05379). It is 1 on a head for k =
    1 and falls slowly, so that every cell knows how far the heads are. With fewer than k heads all
    count; without heads the map is 0.

    Place it after the last geometric transform, and :class:`KeepWholePoints` before the crop.
    Required keys: ``img``, ``points``. Added key: ``gt_maps`` with ``iknn`` float32 (1, h, w).

    Args:
        k: How many heads. Defaults to 1.
        stride: Input pixels per cell. Defaults to 1.

    Raises:
        ValueError: A number is below 1, or the sides of the image are no multiples of the stride.

    Examples:
        >>> results = dict(img=np.zeros((1, 3, 3), np.uint8), points=np.float32([[0, 0]]))
        >>> InverseNeighbourMap()(results)['gt_maps']['iknn'].round(3).tolist()
        [[[1.0, 0.5, 0.3330000042915344]]]
    """

    def __init__(self, k: int = 1, stride: int = 1):
        if k < 1 or stride < 1:
            raise ValueError(
                f'InverseNeighbourMap: k={k!r}, stride={stride!r}, expected at least 1'
            )
        self.k = k
        self.stride = stride

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f'InverseNeighbourMap: image of {height}x{width} pixels '
                f'({results.get("img_path")}) is no multiple of stride {self.stride}; put Pad '
                'before it'
            )
        distance = mean_cell_distances(
            target_points(results),
            (height // self.stride, width // self.stride),
            self.stride,
            self.k,
        )
        values = (1 / (distance + 1)).astype(np.float32)
        results.setdefault('gt_maps', {})['iknn'] = values[None]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(k={self.k}, stride={self.stride})'
