from .annotation_noise import AnnotationNoise
from .formatting import PackCrowdInputs
from .loading import LoadCrowdImage
from .partition import PartitionByNearestPoint
from .processing import (
    Pad,
    PhotoMetricDistortion,
    RandomFlip,
    RandomScaleCrop,
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
    'ResizeToLimits',
    'ResizeToMultiple',
]
