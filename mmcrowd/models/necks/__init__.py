from .detr_encoder import DETREncoder
from .feature_pyramid import FeaturePyramid
from .region_attention import RegionAttentionEncoder
from .resize_concat import ResizeConcat
from .separable_refiner import SeparableRefiner
from .spatial_encoder import SpatialEncoder
from .top_down_fusion import TopDownFusion

__all__ = [
    'DETREncoder',
    'FeaturePyramid',
    'RegionAttentionEncoder',
    'ResizeConcat',
    'SeparableRefiner',
    'SpatialEncoder',
    'TopDownFusion',
]
