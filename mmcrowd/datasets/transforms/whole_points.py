import numpy as np
from mmcv.transforms import BaseTransform

from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import to_input_frame, whole_image_size


@TRANSFORMS.register_module()
class KeepWholePoints(BaseTransform):
    """Remember all points of the image for targets that heads outside of a crop matter to.

    Place it before the first crop. :class:`ProbabilityMap`, :class:`InverseNeighbourMap` and
    :class:`NeighbourDensity` then draw crops of the maps of the whole image. Required keys:
    those of :class:`LoadCrowdImage`. Added key: ``whole_points`` float32 (m, 2), in the original
    frame.

    Raises:
        KeyError: :class:`LoadCrowdImage` has not run, or the image has no points.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage, RandomScaleCrop
        >>> results = dict(img=np.zeros((64, 64, 3), np.uint8), points=np.float32([[9, 9]]))
        >>> results = KeepWholePoints()(LoadCrowdImage()(results))
        >>> results = RandomScaleCrop(16, scale_range=(1, 1))(results)
        >>> results['whole_points'].tolist()
        [[9.0, 9.0]]
    """

    def transform(self, results: dict) -> dict:
        if 'gt_original' not in results:
            raise KeyError(
                f'KeepWholePoints: {results.get("img_path")} has no gt_original, the points as '
                'annotated; put it after LoadCrowdImage, and give it no unlabelled images'
            )
        results['whole_points'] = results['gt_original']['points'].copy()
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def target_points(results: dict) -> np.ndarray:
    """Points that a target is made of: those of :class:`KeepWholePoints` if it has run, or else
    those that there are.

    Args:
        results: Results of a pipeline.

    Returns:
        ``(m, 2)`` float64 positions ``(x, y)`` in pixels of the image as it is here.
    """
    if 'whole_points' in results:
        return to_input_frame(results['whole_points'].astype(np.float64), results)
    return np.asarray(results['points'], np.float64).reshape(-1, 2)


def image_frame(results: dict) -> tuple[tuple[int, int], tuple[int, int]]:
    """First row of the whole image and the row behind its last one, and so the columns, in pixels
    of the image as it is here, which may be a crop."""
    height, width = results['img'].shape[:2]
    if 'ori_shape' not in results:
        return (0, height), (0, width)
    whole_height, whole_width = whole_image_size(results)
    left, top = results['crop_offset']
    columns = -left, whole_width - left
    if results['flip']:
        columns = width - columns[1], width - columns[0]
    rows = round(-top), max(round(whole_height - top), height)
    return rows, (round(columns[0]), max(round(columns[1]), width))
