from collections.abc import Sequence

import numpy as np

from mmcrowd.ops.dots import CELL, check_dots, draw_dots
from mmcrowd.ops.gaussian_peaks import gaussian_peaks, neighbour_sigma
from mmcrowd.registry import DATASETS

from .drawn_dataset import DrawnDataset


@DATASETS.register_module()
class SyntheticDotsDataset(DrawnDataset):
    """Drawn maps of heads as pictures, for a network that counts from such maps alone.

    The heads are those of :func:`~mmcrowd.ops.dots.draw_dots`. A picture is the map of their
    Gaussians of peak 1, see :func:`~mmcrowd.ops.gaussian_peaks.gaussian_peaks`, white at a head and
    black far from all of them, in 256 grey levels. D2CNet trains its regressor on a thousand of 512
    x 512.

    Args:
        num_images: Number of images.
        split: ``'train'``, ``'val'`` or ``'test'``.
        seed: Non-negative seed of the whole dataset.
        img_size: Width and height in pixels, multiples of 32.
        weights: See :func:`~mmcrowd.ops.dots.draw_dots`. Defaults to all numbers of heads from 0 to
            37 alike.
        spacing: See :func:`~mmcrowd.ops.dots.draw_dots`.
        sigma: Standard deviation of the Gaussians in pixels; None for one by the distances to the
            neighbours.
        **kwargs: Other arguments of :class:`DrawnDataset` and :class:`BaseCrowdDataset`, such as
            ``cache`` and ``pipeline``.

    Raises:
        ValueError: For an argument outside its range.

    Examples:
        >>> info = SyntheticDotsDataset(num_images=1, img_size=(64, 32)).get_data_info(0)
        >>> info['img'].shape, int(info['img'].max()), int(info['points'][:, 0].max()) < 64
        ((32, 64, 3), 255, True)
    """

    METAINFO = dict(dataset_name='SyntheticDots')

    def __init__(
        self,
        num_images: int = 1000,
        split: str = 'train',
        seed: int = 0,
        img_size: tuple[int, int] = (512, 512),
        weights: Sequence[float] = (1.0,) * 38,
        spacing: int = 3,
        sigma: float | None = None,
        **kwargs,
    ):
        whole = all(side % CELL == 0 for side in img_size)
        self.expect(whole, 'img_size', img_size, f'multiples of {CELL}')
        check_dots(weights, spacing, type(self).__name__)
        self.weights = list(weights)
        self.spacing = spacing
        self.sigma = sigma
        super().__init__(num_images, split, seed, img_size, **kwargs)

    def annotate(self, scene_seed: tuple[int, int, int]) -> tuple[dict, dict]:
        return dict(points=self._dots(scene_seed)), {}

    def draw(self, scene_seed: tuple[int, int, int]) -> np.ndarray:
        points = self._dots(scene_seed)
        width, height = self.img_size
        if self.sigma is None:
            sigma = neighbour_sigma(points, alone=(height + width) / 2 / 4)
        else:
            sigma = np.full(len(points), float(self.sigma))
        peaks, _ = gaussian_peaks(points, sigma, (height, width))
        return np.repeat((255 * peaks).round().astype(np.uint8)[..., None], 3, 2)

    def _dots(self, scene_seed: tuple[int, int, int]) -> np.ndarray:
        width, height = self.img_size
        rng = np.random.default_rng(scene_seed)
        return draw_dots(rng, (height // CELL, width // CELL), self.weights, self.spacing)
