import numpy as np

from mmcrowd.registry import DATASETS

from .drawn_dataset import DrawnDataset
from .surfaces import draw_surface


@DATASETS.register_module()
class SyntheticSurfaceDataset(DrawnDataset):
    """Drawn pictures of nobody, so that a counter learns what is no crowd.

    Pebbles, fruit and coins, grass, leaves, lights in the night, bricks and windows, text, cloth
    and ripples, sand and sky, at the sizes that heads have in crowds. No image has a point.

    Args:
        num_images: Number of images.
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Non-negative seed of the whole dataset.
        img_size: Width and height in pixels, at least 32 each.
        **kwargs: Other arguments of :class:`DrawnDataset` and :class:`BaseCrowdDataset`.

    Raises:
        ValueError: For an argument outside its range.

    Examples:
        >>> dataset = SyntheticSurfaceDataset(num_images=2, img_size=(96, 64))
        >>> info = dataset.get_data_info(1)
        >>> info['img'].shape, info['points'].shape
        ((64, 96, 3), (0, 2))
    """

    METAINFO = dict(dataset_name='SyntheticSurfaces')

    def annotate(self, scene_seed: tuple[int, int, int]) -> tuple[dict, dict]:
        return dict(points=np.empty((0, 2), np.float32)), {}

    def draw(self, scene_seed: tuple[int, int, int]) -> np.ndarray:
        return draw_surface(scene_seed, self.img_size)
