from .backbones import MCNN, VGG, CSRNet
from .counters import DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import DensityHead, PointHead
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
from .necks import TopDownFusion

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
    'HungarianMatcher',
    'KDMGLoss',
    'LocalMaximum',
    'MCNN',
    'NoiseCCLoss',
    'OTMinimization',
    'P2PLoss',
    'PMLLoss',
    'PointCounter',
    'PointHead',
    'TopDownFusion',
    'UOTLoss',
    'VGG',
]
