from .csrnet import CSRNet
from .hrnet import HRNetBilinear
from .mcnn import MCNN
from .vgg import VGG

__all__ = ['VGG', 'MCNN', 'CSRNet', 'HRNetBilinear']
