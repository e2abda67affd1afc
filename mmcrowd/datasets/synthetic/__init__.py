from .crowd_dataset import SyntheticCrowdDataset
from .dots_dataset import SyntheticDotsDataset
from .painter import render_scene
from .scene import CrowdScene, layout_scene
from .surface_dataset import SyntheticSurfaceDataset
from .surfaces import draw_surface

__all__ = [
    'CrowdScene',
    'SyntheticCrowdDataset',
    'SyntheticDotsDataset',
    'SyntheticSurfaceDataset',
    'draw_surface',
    'layout_scene',
    'render_scene',
]
