from .backbones import MCNN, VGG, CSRNet, HRNetBilinear
from .counters import DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import DensityHead, MapHead, PointHead
from .localizers import LocalMaximum, OTMinimization
from .losses import (
    BayesianLoss,
    ChfLoss,
    DensityLoss,
    DMCountLoss,
    FIDTMLoss,
    GaussianL2Loss,
    GeneralizedLoss,
    HungarianMatcher,
    KDMGLoss,
    NoiseCCLoss,
    P2PLoss,
    PMLLoss,
    UOTLoss,
)
from .necks import ResizeConcat, TopDownFusion

__all__ = [
    'BayesianLoss',
    'CSRNet',
    'ChfLoss',
    'CrowdDataPreprocessor',
    'DMCountLoss',
    'DensityCounter',
    'DensityHead',
    'DensityLoss',
    'FIDTMLoss',
    'GaussianL2Loss',
    'GeneralizedLoss',
    'HRNetBilinear',
    'HungarianMatcher',
    'KDMGLoss',
    'LocalMaximum',
    'MCNN',
    'MapHead',
    'NoiseCCLoss',
    'OTMinimization',
    'P2PLoss',
    'PMLLoss',
    'PointCounter',
    'PointHead',
    'ResizeConcat',
    'TopDownFusion',
    'UOTLoss',
    'VGG',
]
