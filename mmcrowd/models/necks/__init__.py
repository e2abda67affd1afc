from .resize_concat import ResizeConcat
from .top_down_fusion import TopDownFusion

__all__ = ['ResizeConcat', 'TopDownFusion']
