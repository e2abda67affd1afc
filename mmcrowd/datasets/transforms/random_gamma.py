import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmcrowd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomGamma(BaseTransform):
    """Raise the values of all pixels, as shares of 255, to a random power.

    Args:
        prob: Probability of a change. Defaults to 0.5.
        gamma_range: Range of the uniformly drawn power; below 1 the image becomes brighter.
            Defaults to (0.4, 2.0).

    Raises:
        ValueError: ``prob`` is no probability, or the range is not positive and ascending.

    Examples:
        >>> results = RandomGamma(1.0, (2.0, 2.0))(dict(img=np.full((1, 1, 3), 127, np.uint8)))
        >>> results['img'].tolist()
        [[[63, 63, 63]]]
    """

    def __init__(self, prob: float = 0.5, gamma_range: tuple[float, float] = (0.4, 2.0)):
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob!r}, expected a probability')
        if not 0 < gamma_range[0] <= gamma_range[1]:
            raise ValueError(f'gamma_range={gamma_range!r}, expected 0 < low <= high')
        self.prob = prob
        self.gamma_range = (gamma_range[0], gamma_range[1])

    @cache_randomness
    def _draw(self) -> float | None:
        return np.random.uniform(*self.gamma_range) if np.random.rand() < self.prob else None

    def transform(self, results: dict) -> dict:
        gamma = self._draw()
        if gamma is not None:
            table = 255 * (np.arange(256) / 255) ** gamma
            results['img'] = cv2.LUT(np.asarray(results['img']), table.round().astype(np.uint8))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, gamma_range={self.gamma_range})'
