from .local_maximum import LocalMaximum
from .ot_minimization import OTMinimization

__all__ = ['LocalMaximum', 'OTMinimization']
