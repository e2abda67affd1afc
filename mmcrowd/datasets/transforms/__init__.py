from .formatting import PackCrowdInputs
from .loading import LoadCrowdImage
from .partition import PartitionByNearestPoint
from .processing import (
    LimitSide,
    PadToMultiple,
    PhotometricDistortion,
    RandomHorizontalFlip,
    RandomScaleCrop,
    ResizeToMultiple,
)

__all__ = [
    'LimitSide',
    'LoadCrowdImage',
    'PackCrowdInputs',
    'PadToMultiple',
    'PartitionByNearestPoint',
    'PhotometricDistortion',
    'RandomHorizontalFlip',
    'RandomScaleCrop',
    'ResizeToMultiple',
]
