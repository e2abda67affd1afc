from mmcrowd.fileio.checkpoint_schemes import register_safe_readers

from .backbones import MCNN, CSRNet, EfficientNetLite0, HRNetBilinear, VGGFeatures
from .counters import BaseCounter, DensityCounter, PointCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import DensityHead, MapHead, PointHead, RegressionHead, STEERERHead, ZIPHead
from .initializers import TorchDefaultInit
from .localizers import BlockMaximum, LocalMaximum, OTMinimization, ProposalThreshold
from .losses import (
    BayesianLoss,
    CHFLoss,
    ChfLoss,
    DensityLoss,
    DMCountLoss,
    FIDTMLoss,
    GaussianL2Loss,
    GCFLoss,
    GeneralizedLoss,
    HungarianMatcher,
    KDMGLoss,
    LocalAttentionLoss,
    MSILoss,
    NoiseCCLoss,
    OutputLoss,
    P2PLoss,
    PMLEntropicLoss,
    PMLKLLoss,
    PMLL2Loss,
    PMLLoss,
    TopBayesianLoss,
    UOTLoss,
    ZIPLoss,
)
from .necks import RegionAttentionEncoder, ResizeConcat, SeparableRefiner, TopDownFusion
from .onnx_inference import OnnxInference
from .slide_inference import SlideInference

__all__ = [
    'MCNN',
    'BaseCounter',
    'BayesianLoss',
    'BlockMaximum',
    'CHFLoss',
    'CSRNet',
    'ChfLoss',
    'CrowdDataPreprocessor',
    'DMCountLoss',
    'DensityCounter',
    'DensityHead',
    'DensityLoss',
    'EfficientNetLite0',
    'FIDTMLoss',
    'GCFLoss',
    'GaussianL2Loss',
    'GeneralizedLoss',
    'HRNetBilinear',
    'HungarianMatcher',
    'KDMGLoss',
    'LocalAttentionLoss',
    'LocalMaximum',
    'MSILoss',
    'MapHead',
    'NoiseCCLoss',
    'OTMinimization',
    'OnnxInference',
    'OutputLoss',
    'P2PLoss',
    'PMLEntropicLoss',
    'PMLKLLoss',
    'PMLL2Loss',
    'PMLLoss',
    'PointCounter',
    'PointHead',
    'ProposalThreshold',
    'RegionAttentionEncoder',
    'RegressionHead',
    'ResizeConcat',
    'STEERERHead',
    'SeparableRefiner',
    'SlideInference',
    'TopBayesianLoss',
    'TopDownFusion',
    'TorchDefaultInit',
    'UOTLoss',
    'VGGFeatures',
    'ZIPHead',
    'ZIPLoss',
]

# What init_cfg names is read without running code in it.
register_safe_readers()
