from .backbones import MCNN, VGG, CSRNet
from .counters import DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import DensityHead, PointHead
from .localizers import LocalMaximum, OTMinimization
from .losses import (
    BayesianLoss,
    CHFLoss,
    ChfLoss,
    DensityLoss,
    DMCountLoss,
    FIDTMLoss,
    GaussianL2Loss,
    GeneralizedLoss,
    HungarianMatcher,
    KDMGLoss,
    NoiseCCLoss,
    OutputLoss,
    P2PLoss,
    PMLEntropicLoss,
    PMLKLLoss,
    PMLL2Loss,
    PMLLoss,
    UOTLoss,
)
from .necks import TopDownFusion

__all__ = [
    'BayesianLoss',
    'CHFLoss',
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
    'OutputLoss',
    'P2PLoss',
    'PMLEntropicLoss',
    'PMLKLLoss',
    'PMLL2Loss',
    'PMLLoss',
    'PointCounter',
    'PointHead',
    'TopDownFusion',
    'UOTLoss',
    'VGG',
]
