from .annotation_noise import AnnotationNoise
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
from .visible_crop import VisibleCrop

__all__ = [
    'AnnotationNoise',
    'LoadCrowdImage',
    'PackCrowdInputs',
    'Pad',
    'PartitionByNearestPoint',
    'PhotoMetricDistortion',
    'RandomFlip',
    'RandomScaleCrop',
    'ResizeByFactor',
    'ResizeToFit',
    'ResizeToLimits',
    'ResizeToMultiple',
    'VisibleCrop',
]
