from .dataset import SyntheticCrowdDataset
from .painter import render_scene
from .scene import CrowdScene, layout_scene

__all__ = ['CrowdScene', 'SyntheticCrowdDataset', 'layout_scene', 'render_scene']
