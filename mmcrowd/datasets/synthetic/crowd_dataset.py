import numpy as np

from mmcrowd.registry import DATASETS

from .drawn_dataset import DrawnDataset, is_int
from .painter import render_scene
from .scene import CrowdScene, layout_scene


@DATASETS.register_module()
class SyntheticCrowdDataset(DrawnDataset):
    """Drawn crowds with exact head positions, for demos and tests; nothing is downloaded.

    The scenes have perspective (far people are smaller and denser), people who overlap, clothes,
    hair and hats, objects that look a little like heads, shadows, haze, blur and noise. Counts are
    wide and skewed: about one image in twenty is empty, half have fewer than about fifty people, a
    few have several hundred.

    Each entry has ``points`` (centres of the heads), ``boxes`` (around the heads, hidden parts
    included, clipped to the image) and ``attributes``: ``scene_seed``, ``horizon`` (row of the
    horizon, negative above the image) and ``head_slope`` (a head centred on row ``y`` is
    ``head_slope * (y - horizon)`` pixels high). Image ``k`` depends on ``max_count``, too.

    Args:
        num_images: Number of images.
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Non-negative seed of the whole dataset.
        img_size: Width and height in pixels, at least 32 each.
        max_count: Largest number of people in an image. A small image may not have room for them.
        **kwargs: Other arguments of :class:`DrawnDataset` and :class:`BaseCrowdDataset`, such as
            ``cache`` and ``pipeline``.

    Raises:
        ValueError: For an argument outside its range.

    Examples:
        >>> dataset = SyntheticCrowdDataset(num_images=2, split='test')
        >>> dataset.get_data_info(1)['img'].shape
        (288, 384, 3)
    """

    METAINFO = dict(dataset_name='Synthetic')

    def __init__(
        self,
        num_images: int = 400,
        split: str = 'train',
        seed: int = 0,
        img_size: tuple[int, int] = (384, 288),
        max_count: int = 500,
        **kwargs,
    ):
        self.expect(is_int(max_count, 1), 'max_count', max_count, 'an integer of at least 1')
        self.max_count = max_count
        super().__init__(num_images, split, seed, img_size, **kwargs)

    def annotate(self, scene_seed: tuple[int, int, int]) -> tuple[dict, dict]:
        scene = self._layout(scene_seed)
        annotation = dict(points=scene.points, boxes=scene.boxes)
        return annotation, dict(horizon=scene.horizon, head_slope=scene.slope)

    def draw(self, scene_seed: tuple[int, int, int]) -> np.ndarray:
        return render_scene(self._layout(scene_seed))

    def _layout(self, scene_seed: tuple[int, int, int]) -> CrowdScene:
        return layout_scene(scene_seed, self.img_size, self.max_count)
