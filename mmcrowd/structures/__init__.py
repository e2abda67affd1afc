from .batch import short_image_sides, stack_maps, stack_partitions
from .crowd_data_sample import CrowdDataSample
from .frame import (
    compose_crop,
    compose_flip,
    compose_resize,
    to_input_frame,
    to_original_frame,
    whole_image_size,
)
from .padding import padding_mask
from .sample_reader import SampleReader

__all__ = [
    'CrowdDataSample',
    'SampleReader',
    'compose_crop',
    'compose_flip',
    'compose_resize',
    'padding_mask',
    'short_image_sides',
    'stack_maps',
    'stack_partitions',
    'to_input_frame',
    'to_original_frame',
    'whole_image_size',
]
