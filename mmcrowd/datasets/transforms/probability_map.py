"""Targets of D2CNet (Cheng et al.: *Decoupled Two-Stage Crowd Counting and Beyond*, IEEE
Transactions on Image Processing 2021)."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmcrowd.ops.dots import CELL, check_dots, draw_dots
from mmcrowd.ops.gaussian_peaks import gaussian_peaks, neighbour_sigma
from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import whole_image_size

from .whole_points import image_frame, target_points


@TRANSFORMS.register_module()
class ProbabilityMap(BaseTransform):
    """Draw the heads as a map of peaks and as a density, the targets of D2CNet.

    The probability of a pixel is the largest of Gaussians with the peak 1, one on the pixel of each
    head; the density is the sum of Gaussians of the same width with the mass 1. See
    :func:`~mmcrowd.ops.gaussian_peaks.gaussian_peaks`. Place it after the last geometric transform,
    and :class:`KeepWholePoints` before the crop. Required keys: ``img``, ``points``. Added key:
    ``gt_maps`` with ``probability`` and ``density`` float32 (1, h, w), one value for each pixel.

    Args:
        sigma: Standard deviation of the Gaussians in pixels. Defaults to None: a tenth of the sum
            of the distances to the three nearest other heads, and a quarter of the mean side of the
            image for a head that is alone. It is 15 for ShanghaiTech B.
        reflect: Whether the mass of a head that would lie outside of the whole image is reflected
            at its edges, as the program has it for ShanghaiTech B. Defaults to False: it is lost.

    Raises:
        ValueError: ``sigma`` is not positive.

    Examples:
        >>> results = dict(img=np.zeros((9, 9, 3), np.uint8), points=np.float32([[4, 4]]))
        >>> maps = ProbabilityMap(sigma=1.0)(results)['gt_maps']
        >>> float(maps['probability'].max()), round(float(maps['density'].sum()), 3)
        (1.0, 1.0)
    """

    def __init__(self, sigma: float | None = None, reflect: bool = False):
        if sigma is not None and not sigma > 0:
            raise ValueError(f'ProbabilityMap: sigma={sigma!r}, expected a positive number')
        self.sigma = sigma
        self.reflect = reflect

    def transform(self, results: dict) -> dict:
        points = target_points(results)
        size = results['img'].shape[:2]
        if self.sigma is None:
            whole = whole_image_size(results) if 'ori_shape' in results else size
            sigma = neighbour_sigma(points, alone=sum(whole) / 2 / 4)
        else:
            sigma = np.full(len(points), float(self.sigma))
        frame = image_frame(results) if self.reflect else None
        probability, density = gaussian_peaks(points, sigma, size, frame)
        results.setdefault('gt_maps', {}).update(
            probability=probability[None].astype(np.float32),
            density=density[None].astype(np.float32),
        )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sigma={self.sigma}, reflect={self.reflect})'


@TRANSFORMS.register_module()
class DrawnMap(BaseTransform):
    """Add the maps of a drawn crowd, of the size of the image, for the regressor of D2CNet.

    The crowd has as many heads in each cell of 32 x 32 pixels as
    :func:`~mmcrowd.ops.dots.draw_dots` says, and the maps are those of :class:`ProbabilityMap`, cut
    out at a random place. Required key: ``img``. Added key: ``gt_maps`` with ``drawn_probability``
    and ``drawn_density`` float32 (1, h, w).

    Args:
        weights: See :func:`~mmcrowd.ops.dots.draw_dots`.
        spacing: See :func:`~mmcrowd.ops.dots.draw_dots`. Defaults to 3.
        sigma: See :class:`ProbabilityMap`. Defaults to None.

    Raises:
        ValueError: The weights or the spacing are not as described there, or ``sigma`` is not
            positive.

    Examples:
        >>> results = DrawnMap([0, 1])(dict(img=np.zeros((64, 96, 3), np.uint8)))
        >>> results['gt_maps']['drawn_density'].shape
        (1, 64, 96)
    """

    def __init__(self, weights: list[float], spacing: int = 3, sigma: float | None = None):
        check_dots(weights, spacing, type(self).__name__)
        self.weights = list(weights)
        self.spacing = spacing
        self.maps = ProbabilityMap(sigma)

    @cache_randomness
    def _draw_seed(self) -> int:
        return np.random.randint(2**31)

    def transform(self, results: dict) -> dict:
        rng = np.random.default_rng(self._draw_seed())
        height, width = results['img'].shape[:2]
        # One cell more than the image has, so that it may begin anywhere in the first one.
        cells = (-(-height // CELL) + 1, -(-width // CELL) + 1)
        points = draw_dots(rng, cells, self.weights, self.spacing) - rng.integers(CELL, size=2)
        drawn = self.maps(dict(img=results['img'], points=points))['gt_maps']
        results.setdefault('gt_maps', {}).update(
            {f'drawn_{name}': values for name, values in drawn.items()}
        )
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(weights={self.weights}, spacing={self.spacing}, '
            f'sigma={self.maps.sigma})'
        )
