from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

from .hooks import (
    AugmentationSeedHook,
    CrowdVisualizationHook,
    FreezeNormHook,
    LoggerHook,
    ResumeValidationHook,
    StrictWeightsHook,
)

__all__ = [
    'AugmentationSeedHook',
    'CrowdVisualizationHook',
    'FreezeNormHook',
    'LoggerHook',
    'ResumeValidationHook',
    'StrictWeightsHook',
]

# What load_from and --resume name is read without running code in it.
register_safe_readers()
