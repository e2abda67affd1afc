from .base_counter import BaseCounter
from .density_counter import DensityCounter
from .point_counter import PointCounter
from .two_stage_counter import TwoStageCounter

__all__ = ['BaseCounter', 'DensityCounter', 'PointCounter', 'TwoStageCounter']
