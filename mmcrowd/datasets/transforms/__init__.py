from .annotation_noise import AnnotationNoise
from .box_kinds import BoxKinds
from .box_mask import BoxMask, PseudoBoxes, SeparateBoxes
from .dot_boxes import DotBoxes
from .formatting import PackCrowdInputs
from .loading import LoadCrowdImage
from .partition import PartitionByNearestPoint
from .processing import (
    Pad,
    PhotoMetricDistortion,
    RandomFlip,
    RandomScaleCrop,
    ResizeByFactor,
    ResizeToFit,
    ResizeToLimits,
    ResizeToMultiple,
)
from .random_gamma import RandomGamma
from .visible_crop import VisibleCrop

__all__ = [
    'AnnotationNoise',
    'BoxKinds',
    'BoxMask',
    'DotBoxes',
    'LoadCrowdImage',
    'PackCrowdInputs',
    'Pad',
    'PartitionByNearestPoint',
    'PhotoMetricDistortion',
    'PseudoBoxes',
    'RandomFlip',
    'RandomGamma',
    'RandomScaleCrop',
    'ResizeByFactor',
    'ResizeToFit',
    'ResizeToLimits',
    'ResizeToMultiple',
    'SeparateBoxes',
    'VisibleCrop',
]
