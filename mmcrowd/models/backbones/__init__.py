from .csrnet import CSRNet
from .hrnet import HRNetBilinear
from .mcnn import MCNN
from .vgg import VGGFeatures

__all__ = ['MCNN', 'CSRNet', 'HRNetBilinear', 'VGGFeatures']
