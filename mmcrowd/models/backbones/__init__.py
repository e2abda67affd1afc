from .csrnet import CSRNet
from .efficientnet_lite import EfficientNetLite0
from .hrnet import HRNetBilinear
from .identity import Identity
from .mcnn import MCNN
from .switch_mcnn import SwitchMCNN
from .vgg import VGGFeatures
from .vgg_side_branches import VGGSideBranches

__all__ = [
    'MCNN',
    'CSRNet',
    'EfficientNetLite0',
    'HRNetBilinear',
    'Identity',
    'SwitchMCNN',
    'VGGFeatures',
    'VGGSideBranches',
]
