from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

from .backbones import MCNN, CSRNet, EfficientNetLite0, HRNetBilinear, VGGFeatures
from .counters import BaseCounter, DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import (
    DensityHead,
    EBCHead,
    MapHead,
    PerPixelHead,
    PointHead,
    RegressionHead,
    ZIPHead,
)
from .initializers import TorchDefaultInit
from .localizers import LocalMaximum, OTMinimization, ProposalThreshold
from .losses import (
    BayesianLoss,
    CHFLoss,
    ChfLoss,
    DensityLoss,
    DMCountLoss,
    EBCLoss,
    FIDTMLoss,
    GaussianL2Loss,
    GaussianMSELoss,
    GCFLoss,
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
    ZIPLoss,
)
from .necks import ResizeConcat, SeparableRefiner, SpatialEncoder, TopDownFusion
from .onnx_inference import OnnxInference
from .overlap_inference import OverlapInference
from .slide_inference import SlideInference

__all__ = [
    'MCNN',
    'BaseCounter',
    'BayesianLoss',
    'CHFLoss',
    'CSRNet',
    'ChfLoss',
    'CrowdDataPreprocessor',
    'DMCountLoss',
    'DensityCounter',
    'DensityHead',
    'DensityLoss',
    'EBCHead',
    'EBCLoss',
    'EfficientNetLite0',
    'FIDTMLoss',
    'GCFLoss',
    'GaussianL2Loss',
    'GaussianMSELoss',
    'GeneralizedLoss',
    'HRNetBilinear',
    'HungarianMatcher',
    'KDMGLoss',
    'LocalMaximum',
    'MapHead',
    'NoiseCCLoss',
    'OTMinimization',
    'OnnxInference',
    'OutputLoss',
    'OverlapInference',
    'P2PLoss',
    'PMLEntropicLoss',
    'PMLKLLoss',
    'PMLL2Loss',
    'PMLLoss',
    'PerPixelHead',
    'PointCounter',
    'PointHead',
    'ProposalThreshold',
    'RegressionHead',
    'ResizeConcat',
    'SeparableRefiner',
    'SlideInference',
    'SpatialEncoder',
    'TopDownFusion',
    'TorchDefaultInit',
    'UOTLoss',
    'VGGFeatures',
    'ZIPHead',
    'ZIPLoss',
]

# What init_cfg names is read without running code in it.
register_safe_readers()
