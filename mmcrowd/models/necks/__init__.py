from .region_attention import RegionAttentionEncoder
from .resize_concat import ResizeConcat
from .separable_refiner import SeparableRefiner
from .top_down_fusion import TopDownFusion

__all__ = ['RegionAttentionEncoder', 'ResizeConcat', 'SeparableRefiner', 'TopDownFusion']
