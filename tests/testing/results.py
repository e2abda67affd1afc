"""Predictions for one image, and the errors in them."""

from mmcrowd.evaluation.image_errors import ImageErrors
from mmcrowd.evaluation.image_result import ImageResult


def make_result(name, gt, pred, path=None, **kwargs):
    """An image with these true and predicted points."""
    return ImageResult(
        img_id=name,
        pred_count=len(pred),
        gt_count=len(gt),
        pred_points=pred,
        gt_points=gt,
        img_path=path,
        **kwargs,
    )


def make_errors(gt, pred, radius=8.0, img_id='a', **kwargs):
    """The errors of an image with these true and predicted points."""
    return ImageErrors(make_result(img_id, gt, pred, **kwargs), radius)
