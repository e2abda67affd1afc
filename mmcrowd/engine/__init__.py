from .hooks import (
    AugmentationSeedHook,
    CrowdVisualizationHook,
    FreezeNormHook,
    LoggerHook,
    ResumeValidationHook,
)

__all__ = [
    'AugmentationSeedHook',
    'CrowdVisualizationHook',
    'FreezeNormHook',
    'LoggerHook',
    'ResumeValidationHook',
]
