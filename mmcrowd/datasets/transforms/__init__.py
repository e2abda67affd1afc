from .annotation_noise import AnnotationNoise
from .formatting import PackCrowdInputs
from .loading import LoadCrowdImage
from .partition import PartitionByNearestPoint
from .processing import (
    Pad,
    PhotoMetricDistortion,
    RandomFlip,
    RandomScaleCrop,
    ResizeToFit,
    ResizeToLimits,
    ResizeToMultiple,
)

__all__ = [
    'AnnotationNoise',
    'LoadCrowdImage',
    'PackCrowdInputs',
    'Pad',
    'PartitionByNearestPoint',
    'PhotoMetricDistortion',
    'RandomFlip',
    'RandomScaleCrop',
    'ResizeToFit',
    'ResizeToLimits',
    'ResizeToMultiple',
]
