from .density_head import DensityHead
from .map_head import MapHead
from .point_head import PointHead
from .regression_head import RegressionHead
from .steerer_head import STEERERHead
from .zip_head import ZIPHead

__all__ = ['DensityHead', 'MapHead', 'PointHead', 'RegressionHead', 'STEERERHead', 'ZIPHead']
