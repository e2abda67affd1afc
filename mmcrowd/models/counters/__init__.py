from .density_counter import DensityCounter
from .point_counter import PointCounter

__all__ = ['DensityCounter', 'PointCounter']
