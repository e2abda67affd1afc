from .detr_encoder import DETREncoder
from .feature_pyramid import FeaturePyramid
from .pyramid_concat import PyramidConcat
from .region_attention import RegionAttentionEncoder
from .resize_concat import ResizeConcat
from .separable_refiner import SeparableRefiner
from .spatial_encoder import SpatialEncoder
from .top_down_fusion import TopDownFusion
from .top_down_modulation import TopDownModulation
from .unet import UNet

__all__ = [
    'DETREncoder',
    'FeaturePyramid',
    'PyramidConcat',
    'RegionAttentionEncoder',
    'ResizeConcat',
    'SeparableRefiner',
    'SpatialEncoder',
    'TopDownFusion',
    'TopDownModulation',
    'UNet',
]
