import numpy as np
from mmcv.transforms import BaseTransform

from mmcrowd.ops.neighbours import neighbour_distances
from mmcrowd.registry import TRANSFORMS

from .whole_points import image_frame, target_points

NEIGHBOURS = 11  # of a head, itself at distance 0 among them
REACH = 2.0  # standard deviations, beyond which a Gaussian ends
MIN_SIGMA = 0.1  # pixels, for heads that are all in one place: all mass is in one pixel


@TRANSFORMS.register_module()
class NeighbourDensity(BaseTransform):
    r"""Draw the density that inverse nearest-neighbour maps are compared with in their paper.

    A Gaussian of the mass 1 for each head, around the pixel that its position is rounded to, with
    the standard deviation :math:`\sigma = \beta \bar d`, :math:`\bar d` the mean distance to the 11
    nearest heads, with the head itself as the first of them (Olmschenk et al., arXiv 1902.05379;
    see :class:`InverseNeighbourMap`). With fewer heads all count; a head that is alone is all in
    its pixel. The Gaussian ends at :math:`\lfloor 2 \sigma \rfloor` pixels to each side. What lies
    outside of the whole image is lost, and then the map is multiplied so that its sum over the
    whole image is the number of heads.

    Place it after the last geometric transform, and :class:`KeepWholePoints` before the crop.
    Required keys: ``img``, ``points``. Added key: ``gt_maps`` with ``density`` float32 (1, h, w),
    persons per pixel, for :class:`~mmcrowd.models.losses.TargetMapLoss`.

    Args:
        beta: Defaults to 0.3; the paper has 0.05, 0.1, 0.3 and 0.5.

    Raises:
        ValueError: ``beta`` is not positive.

    Examples:
        >>> results = dict(img=np.zeros((9, 9, 3), np.uint8), points=np.float32([[4, 4], [4, 8]]))
        >>> density = NeighbourDensity()(results)['gt_maps']['density']
        >>> density.shape, round(float(density.sum()), 4)
        ((1, 9, 9), 2.0)
    """

    def __init__(self, beta: float = 0.3):
        if not beta > 0:
            raise ValueError(f'NeighbourDensity: beta={beta!r}, expected a positive number')
        self.beta = beta

    def transform(self, results: dict) -> dict:
        points = np.asarray(target_points(results), np.float64).reshape(-1, 2)
        size, frame = results['img'].shape[:2], image_frame(results)
        distances = neighbour_distances(points, NEIGHBOURS - 1)
        sigma = self.beta * distances.sum(1) / (distances.shape[1] + 1)
        density, mass = np.zeros(size), 0.0
        pixels = np.rint(points).astype(int)
        for (x, y), width in zip(pixels.tolist(), sigma.clip(MIN_SIGMA), strict=True):
            rows, row, height = _weights(y, width, frame[0], size[0])
            columns, column, breadth = _weights(x, width, frame[1], size[1])
            density[rows, columns] += np.outer(row, column)
            mass += height * breadth
        if mass:
            density *= len(points) / mass
        results.setdefault('gt_maps', {})['density'] = density[None].astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(beta={self.beta})'


def _weights(
    centre: int, sigma: float, frame: tuple[int, int], side: int
) -> tuple[slice, np.ndarray, float]:
    """A Gaussian along one axis: its pixels of those from 0 to ``side``, its weights there, and
    their sum over the frame, the image that these pixels are cut out of."""
    first, end = frame
    centre = min(max(centre, first), end - 1)
    reach = int(REACH * sigma)
    pixels = np.arange(centre - reach, centre + reach + 1)
    weights = np.exp(-0.5 * ((pixels - centre) / sigma) ** 2)
    weights /= weights.sum()
    mass = float(weights[(pixels >= first) & (pixels < end)].sum())
    here = (pixels >= max(first, 0)) & (pixels < min(end, side))
    start = int(pixels[here][0]) if here.any() else 0
    return slice(start, start + int(here.sum())), weights[here], mass
