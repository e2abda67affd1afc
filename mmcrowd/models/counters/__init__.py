from .base_counter import BaseCounter
from .density_counter import DensityCounter
from .point_counter import PointCounter

__all__ = ['BaseCounter', 'DensityCounter', 'PointCounter']
