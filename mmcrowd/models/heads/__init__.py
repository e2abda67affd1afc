from .cltr_head import CLTRHead
from .density_head import DensityHead
from .ebc_head import EBCHead
from .map_head import MapHead
from .per_pixel_head import PerPixelHead
from .pet_head import PETHead
from .point_head import PointHead
from .regression_head import RegressionHead
from .steerer_head import STEERERHead
from .zip_head import ZIPHead

__all__ = [
    'CLTRHead',
    'DensityHead',
    'EBCHead',
    'MapHead',
    'PETHead',
    'PerPixelHead',
    'PointHead',
    'RegressionHead',
    'STEERERHead',
    'ZIPHead',
]
