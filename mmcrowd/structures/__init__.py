from .batch import short_image_sides, stack_partitions
from .crowd_data_sample import CrowdDataSample
from .frame import (
    compose_crop,
    compose_flip,
    compose_resize,
    to_input_frame,
    to_original_frame,
    whole_image_size,
)

__all__ = [
    'CrowdDataSample',
    'compose_crop',
    'compose_flip',
    'compose_resize',
    'short_image_sides',
    'stack_partitions',
    'to_input_frame',
    'to_original_frame',
    'whole_image_size',
]
