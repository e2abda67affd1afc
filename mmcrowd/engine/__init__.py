from .hooks import (
    AugmentationSeedHook,
    CrowdVisualizationHook,
    LoggerHook,
    ResumeValidationHook,
    TimeLimitHook,
)

__all__ = [
    'AugmentationSeedHook',
    'CrowdVisualizationHook',
    'LoggerHook',
    'ResumeValidationHook',
    'TimeLimitHook',
]
