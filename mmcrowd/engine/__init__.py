from .hooks import AugmentationSeedHook, CrowdVisualizationHook

__all__ = ['AugmentationSeedHook', 'CrowdVisualizationHook']
