from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

from .hooks import (
    AugmentationSeedHook,
    CrowdVisualizationHook,
    FreezeNormHook,
    LoggerHook,
    ResumeValidationHook,
    StrictWeightsHook,
    TimeLimitHook,
)

__all__ = [
    'AugmentationSeedHook',
    'CrowdVisualizationHook',
    'FreezeNormHook',
    'LoggerHook',
    'ResumeValidationHook',
    'StrictWeightsHook',
    'TimeLimitHook',
]

# What load_from and --resume name is read without running code in it.
register_safe_readers()
