from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from mmcrowd.ops.box_kinds import BOX_SIZES, box_kinds
from mmcrowd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BoxKinds(BaseTransform):
    """Mark the heads with the kinds of their boxes, see :func:`~mmcrowd.ops.box_kinds.box_kinds`.

    Place it after the last geometric transform. Required keys: ``img``, ``points``. Added key:
    ``gt_maps`` with ``box_kind`` uint8 (1, h, w).

    Args:
        stride: Pixels per cell, the output stride of the counter's head. Defaults to 2.
        sizes: Sides of the boxes in cells, ascending. Defaults to those of LSC-CNN.

    Raises:
        ValueError: The sizes are not positive and ascending, or the sides of an image are no
            multiples of the stride.

    Examples:
        >>> import numpy as np
        >>> results = dict(img=np.zeros((2, 8, 3), np.uint8), points=np.float32([[0, 0], [7, 1]]))
        >>> BoxKinds()(results)['gt_maps']['box_kind'].tolist()
        [[[3, 0, 0, 3]]]
    """

    def __init__(self, stride: int = 2, sizes: Sequence[int] = BOX_SIZES):
        sizes = tuple(sizes)
        if stride < 1 or not sizes or sizes[0] <= 0 or sizes != tuple(sorted(set(sizes))):
            raise ValueError(
                f'BoxKinds: stride={stride!r} and sizes={sizes!r}, expected a positive number of '
                'pixels and positive numbers, ascending'
            )
        self.stride = stride
        self.sizes = sizes

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f'BoxKinds: image of {height}x{width} pixels ({results.get("img_path")}) is no '
                f'multiple of stride {self.stride}; put Pad before it'
            )
        size = (height // self.stride, width // self.stride)
        kinds = box_kinds(results['points'], size, self.stride, self.sizes)
        results.setdefault('gt_maps', {})['box_kind'] = kinds[None]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(stride={self.stride}, sizes={self.sizes})'
