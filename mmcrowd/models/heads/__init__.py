from .density_head import DensityHead
from .map_head import MapHead
from .point_head import PointHead

__all__ = ['DensityHead', 'MapHead', 'PointHead']
