from .backbones import MCNN, VGG, CSRNet
from .counters import DensityCounter
from .data_preprocessor import CrowdDataPreprocessor
from .heads import DensityHead
from .losses import PMLLoss
from .necks import TopDownFusion

__all__ = [
    'CSRNet',
    'CrowdDataPreprocessor',
    'DensityCounter',
    'DensityHead',
    'MCNN',
    'PMLLoss',
    'TopDownFusion',
    'VGG',
]
