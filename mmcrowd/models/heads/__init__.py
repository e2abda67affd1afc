from .density_head import DensityHead
from .point_head import PointHead

__all__ = ['DensityHead', 'PointHead']
