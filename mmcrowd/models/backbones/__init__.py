from .csrnet import CSRNet
from .efficientnet_lite import EfficientNetLite0
from .hrnet import HRNetBilinear
from .mcnn import MCNN
from .switch_mcnn import SwitchMCNN
from .vgg import VGGFeatures

__all__ = ['MCNN', 'CSRNet', 'EfficientNetLite0', 'HRNetBilinear', 'SwitchMCNN', 'VGGFeatures']
