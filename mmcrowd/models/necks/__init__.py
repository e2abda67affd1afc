from .detr_encoder import DETREncoder
from .feature_pyramid import FeaturePyramid
from .resize_concat import ResizeConcat
from .separable_refiner import SeparableRefiner
from .top_down_fusion import TopDownFusion

__all__ = [
    'DETREncoder',
    'FeaturePyramid',
    'ResizeConcat',
    'SeparableRefiner',
    'TopDownFusion',
]
