from .backbones import MCNN, VGG, CSRNet, HRNetBilinear
from .counters import BaseCounter, DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import DensityHead, MapHead, PointHead, ZIPHead
from .localizers import LocalMaximum, OTMinimization, ProposalThreshold
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
    OutputLoss,
    P2PLoss,
    PMLLoss,
    UOTLoss,
    ZIPLoss,
)
from .necks import ResizeConcat, SeparableRefiner, TopDownFusion

__all__ = [
    'BaseCounter',
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
    'OutputLoss',
    'P2PLoss',
    'PMLLoss',
    'PointCounter',
    'PointHead',
    'ProposalThreshold',
    'ResizeConcat',
    'SeparableRefiner',
    'TopDownFusion',
    'UOTLoss',
    'VGG',
    'ZIPHead',
    'ZIPLoss',
]
