from .hooks import CrowdVisualizationHook

__all__ = ['CrowdVisualizationHook']
