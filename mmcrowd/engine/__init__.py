from .hooks import (
    AugmentationSeedHook,
    CrowdVisualizationHook,
    FreezeNormHook,
    LoggerHook,
    ResumeValidationHook,
    TimeLimitHook,
)

__all__ = [
    'AugmentationSeedHook',
    'CrowdVisualizationHook',
    'FreezeNormHook',
    'LoggerHook',
    'ResumeValidationHook',
    'TimeLimitHook',
]
