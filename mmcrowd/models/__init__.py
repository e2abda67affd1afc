from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

from .backbones import MCNN, CSRNet, EfficientNetLite0, HRNetBilinear, VGGFeatures
from .counters import BaseCounter, DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import (
    CLTRHead,
    DensityHead,
    MapHead,
    PETHead,
    PointHead,
    RegressionHead,
    ZIPHead,
)
from .initializers import TorchDefaultInit
from .localizers import LocalMaximum, OTMinimization, ProposalThreshold, SigmoidThreshold
from .losses import (
    BayesianLoss,
    CHFLoss,
    ChfLoss,
    CLTRLoss,
    DensityLoss,
    DMCountLoss,
    FIDTMLoss,
    GaussianL2Loss,
    GCFLoss,
    GeneralizedLoss,
    HungarianMatcher,
    KDMGLoss,
    NoiseCCLoss,
    OutputLoss,
    P2PLoss,
    PETLoss,
    PMLEntropicLoss,
    PMLKLLoss,
    PMLL2Loss,
    PMLLoss,
    UOTLoss,
    ZIPLoss,
)
from .necks import DETREncoder, FeaturePyramid, ResizeConcat, SeparableRefiner, TopDownFusion
from .onnx_inference import OnnxInference
from .slide_inference import SlideInference
from .tile_inference import TileInference

__all__ = [
    'MCNN',
    'BaseCounter',
    'BayesianLoss',
    'CHFLoss',
    'CLTRHead',
    'CLTRLoss',
    'CSRNet',
    'ChfLoss',
    'CrowdDataPreprocessor',
    'DETREncoder',
    'DMCountLoss',
    'DensityCounter',
    'DensityHead',
    'DensityLoss',
    'EfficientNetLite0',
    'FIDTMLoss',
    'FeaturePyramid',
    'GCFLoss',
    'GaussianL2Loss',
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
    'P2PLoss',
    'PETHead',
    'PETLoss',
    'PMLEntropicLoss',
    'PMLKLLoss',
    'PMLL2Loss',
    'PMLLoss',
    'PointCounter',
    'PointHead',
    'ProposalThreshold',
    'RegressionHead',
    'ResizeConcat',
    'SeparableRefiner',
    'SigmoidThreshold',
    'SlideInference',
    'TileInference',
    'TopDownFusion',
    'TorchDefaultInit',
    'UOTLoss',
    'VGGFeatures',
    'ZIPHead',
    'ZIPLoss',
]

# What init_cfg names is read without running code in it.
register_safe_readers()
