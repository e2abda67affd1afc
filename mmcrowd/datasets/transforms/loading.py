from mmcv.transforms import BaseTransform

from mmcrowd.fileio.images import load_image
from mmcrowd.fileio.jpeg import open_image
from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures.point_fields import truth_to_original_frame


@TRANSFORMS.register_module()
class LoadCrowdImage(BaseTransform):
    """Load an image and start its meta information.

    The image is decoded to BGR with the EXIF rotation applied; grey images become three equal
    channels and transparency is dropped. An image that the dataset has rendered itself
    (``results['img']``) is taken as it is.

    Required keys: ``img_path`` or ``img``. Added keys: ``img`` (H, W, 3) uint8 BGR, ``ori_shape``,
    ``img_shape``, ``scale_factor``, ``crop_offset``, ``flip``; where there are ``points``,
    ``gt_original``, the points, boxes and sigmas as annotated, in the original frame. What only
    compares takes these, so that no rounding on a way there and back is in it; a transform that
    drops points drops their rows there too.

    Args:
        backend_args: Arguments of the file backend, see :func:`mmengine.fileio.get`.
        lazy: Leave a JPEG encoded, ``img`` being an
            :class:`~mmcrowd.fileio.jpeg.EncodedImage`, until a transform needs its pixels.
            :class:`ResizeToLimits` then only plans, and :class:`RandomScaleCrop` decodes no finer
            than its crop needs: for training on large photos, where the crop follows these two. The
            pixels differ a little from those of resizing twice; the points are where the pixels
            are. Where neither a plan nor the crop shrinks the image, nothing differs. Other formats
            are decoded at once. Defaults to False.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be decoded or is cut off, naming the file; with ``lazy``
            perhaps not before the pixels are needed.

    Examples:
        >>> import numpy as np
        >>> results = LoadCrowdImage()(dict(img=np.zeros((4, 6, 3), np.uint8)))
        >>> results['ori_shape'], results['scale_factor']
        ((4, 6), (1.0, 1.0))
    """

    def __init__(self, backend_args: dict | None = None, lazy: bool = False):
        self.backend_args = backend_args
        self.lazy = lazy

    def transform(self, results: dict) -> dict:
        if results.get('img') is None:
            load = open_image if self.lazy else load_image
            results['img'] = load(results['img_path'], self.backend_args)
        shape = results['img'].shape[:2]
        # The image may be a resized copy of what the dataset counts as the original.
        original = results.get('ori_shape', shape)
        results.update(
            ori_shape=original,
            img_shape=shape,
            scale_factor=(shape[1] / original[1], shape[0] / original[0]),
            crop_offset=(0.0, 0.0),
            flip=False,
        )
        if 'points' in results:
            results['gt_original'] = truth_to_original_frame(results, results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args}, lazy={self.lazy})'
