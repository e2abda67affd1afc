from .csrnet import CSRNet
from .mcnn import MCNN
from .vgg import VGG

__all__ = ['VGG', 'MCNN', 'CSRNet']
