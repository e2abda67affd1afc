from abc import abstractmethod
from typing import Any

import numpy as np

from mmcrowd.fileio.problems import Problems

from ..base_crowd_dataset import BaseCrowdDataset
from ..image_entry import ImageEntry

SPLIT_CODES = dict(train=0, val=1, test=2)
MIN_SIDE = 32


class DrawnDataset(BaseCrowdDataset):
    """Base class of datasets whose images are drawn when they are asked for.

    Image ``k`` depends on ``seed``, ``split``, ``k`` and the options of what is drawn only: it is
    the same in every process, order and subset, and for every ``num_images``. The splits are
    independent streams of images, so there is no ``'trainval'``.

    ``img_path`` is a name, not a file; the image itself is ``img``, uint8 ``(h, w, 3)`` BGR, in
    what :meth:`get_data_info` returns, and ``attributes`` has its ``scene_seed``.

    Args:
        num_images: Number of images.
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Non-negative seed of the whole dataset.
        img_size: Width and height in pixels, at least 32 each.
        cache: Keep each drawn image in memory, 3 bytes per pixel in each loader worker.
        **kwargs: Other arguments of :class:`BaseCrowdDataset`, such as ``pipeline``.

    Raises:
        ValueError: For an argument outside its range.
    """

    def __init__(
        self,
        num_images: int = 400,
        split: str = 'train',
        seed: int = 0,
        img_size: tuple[int, int] = (384, 288),
        cache: bool = False,
        **kwargs,
    ):
        self.expect(split in SPLIT_CODES, 'split', split, f'one of {tuple(SPLIT_CODES)}')
        self.expect(is_int(num_images, 1), 'num_images', num_images, 'an integer of at least 1')
        self.expect(is_int(seed, 0), 'seed', seed, 'an integer of at least 0')
        is_size = isinstance(img_size, (tuple, list)) and len(img_size) == 2
        self.expect(
            is_size and all(is_int(side, MIN_SIDE) for side in img_size),
            'img_size',
            img_size,
            f'(width, height), integers of at least {MIN_SIDE}',
        )
        self.num_images = num_images
        self.seed = seed
        self.img_size = (img_size[0], img_size[1])
        self._cache: dict[str, np.ndarray] | None = {} if cache else None
        # Annotations are drawn anew faster than they are read.
        super().__init__(split=split, cache=False, **kwargs)

    @classmethod
    def expect(cls, ok: bool, name: str, value: Any, wanted: str) -> None:
        """Raise a ValueError about an argument unless it is as wanted."""
        if not ok:
            raise ValueError(f'{cls.__name__}: {name}={value!r}, expected {wanted}')

    @abstractmethod
    def annotate(self, scene_seed: tuple[int, int, int]) -> tuple[dict, dict]:
        """Annotation (``points`` and what else belongs to them) and attributes of an image."""

    @abstractmethod
    def draw(self, scene_seed: tuple[int, int, int]) -> np.ndarray:
        """The image, uint8 ``(h, w, 3)`` BGR."""

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        entries = []
        for k in range(self.num_images):
            scene_seed = (self.seed, SPLIT_CODES[self.split], k)
            annotation, attributes = self.annotate(scene_seed)
            img_id = f'{self.split}_{k:05d}'
            entries.append(
                ImageEntry(
                    img_id=img_id,
                    img_path=f'synthetic/{img_id}',
                    annotation=annotation,
                    size=(self.img_size[1], self.img_size[0]),
                    attributes=dict(scene_seed=scene_seed, **attributes),
                )
            )
        return entries

    def image_paths(self) -> list[str]:
        """None: the images are drawn."""
        return []

    def get_data_info(self, idx: int) -> dict:
        """Entry ``idx`` with its drawn image ``img``, uint8 ``(h, w, 3)`` BGR."""
        info = super().get_data_info(idx)
        img = None if self._cache is None else self._cache.get(info['img_id'])
        if img is None:
            img = self.draw(info['attributes']['scene_seed'])
            if self._cache is not None:
                self._cache[info['img_id']] = img
        # Transforms may write into the image.
        info['img'] = img if self._cache is None else img.copy()
        return info


def is_int(value: Any, low: int) -> bool:
    """Whether a value is an integer, numpy's included, of at least ``low``."""
    return isinstance(value, (int, np.integer)) and bool(value >= low)
