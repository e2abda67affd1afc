from mmcv.transforms import BaseTransform

from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PartitionByNearestPoint(BaseTransform):
    """Assign every density cell to its nearest point, in the loader workers.

    Place it after the last geometric transform. Required keys: ``img``, ``points``. Added key:
    ``gt_partition`` with ``index`` int64 (h, w) and ``distance`` float32 (h, w) in input pixels,
    see :mod:`mmcrowd.ops.partition`.

    Args:
        stride: Input pixels per density cell; the output stride of the counter's head. Defaults to
            2.

    Raises:
        ValueError: If the sides of the image are no multiples of the stride.

    Examples:
        >>> import numpy as np
        >>> results = dict(img=np.zeros((2, 6, 3), np.uint8), points=np.float32([[0, 0], [5, 1]]))
        >>> PartitionByNearestPoint(stride=2)(results)['gt_partition']['index']
        array([[0, 0, 1]])
    """

    def __init__(self, stride: int = 2):
        if stride < 1:
            raise ValueError(f'stride={stride!r}, expected a positive number of pixels')
        self.stride = stride

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f'PartitionByNearestPoint: image of {height}x{width} pixels '
                f'({results.get("img_path")}) is no multiple of stride {self.stride}; put '
                'Pad before it'
            )
        index, distance = nearest_point_partition(
            results['points'], (height // self.stride, width // self.stride), self.stride
        )
        results['gt_partition'] = dict(index=index, distance=distance)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(stride={self.stride})'
