from .augmentation_seed_hook import AugmentationSeedHook
from .crowd_visualization_hook import CrowdVisualizationHook
from .freeze_norm_hook import FreezeNormHook
from .logger_hook import LoggerHook
from .resume_validation_hook import ResumeValidationHook
from .strict_weights_hook import StrictWeightsHook
from .time_limit_hook import TimeLimitHook

__all__ = [
    'AugmentationSeedHook',
    'CrowdVisualizationHook',
    'FreezeNormHook',
    'LoggerHook',
    'ResumeValidationHook',
    'StrictWeightsHook',
    'TimeLimitHook',
]
