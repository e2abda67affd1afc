from .cltr_head import CLTRHead
from .d2c_head import D2CHead, MapCountHead
from .density_head import DensityHead
from .ebc_head import EBCHead
from .iim_head import IIMHead
from .iknn_head import IKNNHead
from .logit_head import LogitHead
from .lsc_head import LSCHead
from .map_head import MapHead
from .per_pixel_head import PerPixelHead
from .pet_head import PETHead
from .point_head import PointHead
from .raz_head import RAZHead
from .regression_head import RegressionHead
from .steerer_head import STEERERHead
from .switch_head import SwitchHead
from .zip_head import ZIPHead

__all__ = [
    'CLTRHead',
    'D2CHead',
    'DensityHead',
    'EBCHead',
    'IIMHead',
    'IKNNHead',
    'LSCHead',
    'LogitHead',
    'MapCountHead',
    'MapHead',
    'PETHead',
    'PerPixelHead',
    'PointHead',
    'RAZHead',
    'RegressionHead',
    'STEERERHead',
    'SwitchHead',
    'ZIPHead',
]
