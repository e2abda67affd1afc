from .annotation_noise import AnnotationNoise
from .box_kinds import BoxKinds
from .box_mask import BoxMask, PseudoBoxes, SeparateBoxes
from .dot_boxes import DotBoxes
from .formatting import PackCrowdInputs
from .inverse_neighbour_map import InverseNeighbourMap
from .loading import LoadCrowdImage
from .neighbour_density import NeighbourDensity
from .partition import PartitionByNearestPoint
from .probability_map import DrawnMap, ProbabilityMap
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
from .whole_points import KeepWholePoints

__all__ = [
    'AnnotationNoise',
    'BoxKinds',
    'BoxMask',
    'DotBoxes',
    'DrawnMap',
    'InverseNeighbourMap',
    'KeepWholePoints',
    'LoadCrowdImage',
    'NeighbourDensity',
    'PackCrowdInputs',
    'Pad',
    'PartitionByNearestPoint',
    'PhotoMetricDistortion',
    'ProbabilityMap',
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
