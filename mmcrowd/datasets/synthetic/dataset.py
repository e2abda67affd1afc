import numpy as np

from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS

from ..base_crowd_dataset import BaseCrowdDataset
from ..image_entry import ImageEntry
from .painter import render_scene
from .scene import CrowdScene, layout_scene

SPLIT_CODES = dict(train=0, val=1, test=2)
MIN_SIDE = 32


@DATASETS.register_module()
class SyntheticCrowdDataset(BaseCrowdDataset):
    """Drawn crowds with exact head positions, for demos and tests; nothing is downloaded.

    The scenes have perspective (far people are smaller and denser), people who overlap, clothes,
    hair and hats, objects that look a little like heads, shadows, haze, blur and noise. Counts are
    wide and skewed: about one image in twenty is empty, half have fewer than about fifty people, a
    few have several hundred.

    Image ``k`` depends on ``seed``, ``split``, ``k``, ``img_size`` and ``max_count`` only: it is
    the same in every process, order and subset, and for every ``num_images``. The splits are
    independent streams of images, so there is no ``'trainval'``.

    Each entry has ``points`` (centres of the heads), ``boxes`` (around the heads, hidden parts
    included, clipped to the image) and ``attributes``: ``scene_seed``, ``horizon`` (row of the
    horizon, negative above the image) and ``head_slope`` (a head centred on row ``y`` is
    ``head_slope * (y - horizon)`` pixels high). ``img_path`` is a name, not a file; the image
    itself is ``img``, uint8 ``(h, w, 3)`` BGR, in what :meth:`get_data_info` returns.

    Args:
        num_images: Number of images.
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Non-negative seed of the whole dataset.
        img_size: Width and height in pixels, at least 32 each.
        max_count: Largest number of people in an image. A small image may not have room for them.
        cache: Keep each rendered image in memory, 3 bytes per pixel in each loader worker.
        **kwargs: Other arguments of :class:`BaseCrowdDataset`, such as ``pipeline``.

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
        cache: bool = False,
        **kwargs,
    ):
        def expect(ok: bool, name: str, value, wanted: str) -> None:
            if not ok:
                raise ValueError(f'SyntheticCrowdDataset: {name}={value!r}, expected {wanted}')

        def is_int(value, low: int) -> bool:
            return isinstance(value, (int, np.integer)) and value >= low

        expect(split in SPLIT_CODES, 'split', split, f'one of {tuple(SPLIT_CODES)}')
        expect(is_int(num_images, 1), 'num_images', num_images, 'an integer of at least 1')
        expect(is_int(seed, 0), 'seed', seed, 'an integer of at least 0')
        expect(is_int(max_count, 1), 'max_count', max_count, 'an integer of at least 1')
        is_size = isinstance(img_size, (tuple, list)) and len(img_size) == 2
        expect(
            is_size and all(is_int(side, MIN_SIDE) for side in img_size),
            'img_size',
            img_size,
            f'(width, height), integers of at least {MIN_SIDE}',
        )
        self.num_images = num_images
        self.seed = seed
        self.img_size = tuple(img_size)
        self.max_count = max_count
        self._cache: dict[str, np.ndarray] | None = {} if cache else None
        # Annotations are drawn anew faster than they are read.
        super().__init__(split=split, cache=False, **kwargs)

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        entries = []
        for k in range(self.num_images):
            scene = self._layout((self.seed, SPLIT_CODES[self.split], k))
            img_id = f'{self.split}_{k:05d}'
            entries.append(
                ImageEntry(
                    img_id=img_id,
                    img_path=f'synthetic/{img_id}',
                    annotation=dict(points=scene.points, boxes=scene.boxes),
                    size=self.img_size[::-1],
                    attributes=dict(
                        scene_seed=scene.seed, horizon=scene.horizon, head_slope=scene.slope
                    ),
                )
            )
        return entries

    def image_paths(self) -> list[str]:
        """None: the images are drawn."""
        return []

    def get_data_info(self, idx: int) -> dict:
        """Entry ``idx`` with its rendered image ``img``, uint8 ``(h, w, 3)`` BGR."""
        info = super().get_data_info(idx)
        img = None if self._cache is None else self._cache.get(info['img_id'])
        if img is None:
            img = render_scene(self._layout(info['attributes']['scene_seed']))
            if self._cache is not None:
                self._cache[info['img_id']] = img
        # Transforms may write into the image.
        info['img'] = img if self._cache is None else img.copy()
        return info

    def _layout(self, scene_seed: tuple[int, int, int]) -> CrowdScene:
        return layout_scene(scene_seed, self.img_size, self.max_count)
