from .cltr_head import CLTRHead
from .density_head import DensityHead
from .map_head import MapHead
from .pet_head import PETHead
from .point_head import PointHead
from .regression_head import RegressionHead
from .zip_head import ZIPHead

__all__ = [
    'CLTRHead',
    'DensityHead',
    'MapHead',
    'PETHead',
    'PointHead',
    'RegressionHead',
    'ZIPHead',
]
