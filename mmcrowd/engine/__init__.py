from .hooks import AugmentationSeedHook, CrowdVisualizationHook, ResumeValidationHook

__all__ = ['AugmentationSeedHook', 'CrowdVisualizationHook', 'ResumeValidationHook']
