from .hooks import AugmentationSeedHook, CrowdVisualizationHook, LoggerHook, ResumeValidationHook

__all__ = ['AugmentationSeedHook', 'CrowdVisualizationHook', 'LoggerHook', 'ResumeValidationHook']
