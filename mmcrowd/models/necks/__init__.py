from .top_down_fusion import TopDownFusion

__all__ = ['TopDownFusion']
