from .augmentation_seed_hook import AugmentationSeedHook
from .crowd_visualization_hook import CrowdVisualizationHook

__all__ = ['AugmentationSeedHook', 'CrowdVisualizationHook']
