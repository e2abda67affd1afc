import numpy as np

from mmcrowd.ops.neighbours import neighbour_distances
from mmcrowd.registry import TRANSFORMS

from .processing import RandomScaleCrop

NEIGHBOURS = 3  # of a point, whose mean distance stands for the size of its head
SIDES = (4.0, 128.0)  # pixels of the crop, the smallest and largest side of the square of a head


@TRANSFORMS.register_module()
class VisibleCrop(RandomScaleCrop):
    """Crop as :class:`RandomScaleCrop`, with the share of each head that it shows.

    A head is a square around its point. Its side is the mean distance of the point to its three
    nearest other ones in the whole image, or the height of its box, and at least 4 and at most 128
    pixels of the crop. A point stays if the crop shows enough of its square, though it may lie a
    little outside, and its share becomes ``visible``: so the published program of MAN (Lin et al.,
    CVPR 2022) cuts UCF-QNRF and, with boxes, JHU-Crowd++.

    Added key: ``visible`` float32 (m,), above 0 and at most 1. A point that is alone in its image
    has the largest square.

    Args:
        crop_size: See :class:`RandomScaleCrop`. Defaults to 512.
        scale_range: See :class:`RandomScaleCrop`. Defaults to (0.75, 1.25).
        min_visible: Least share that keeps a point. Defaults to 0.3.
        head_size: ``'neighbours'`` or ``'boxes'``, where the sizes come from. Defaults to
            ``'neighbours'``.

    Raises:
        ValueError: ``min_visible`` is not above 0 or is above 1, or ``head_size`` is neither.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> points = np.float32([[-0.5, 15.5], [31.5, 15.5]])  # on the two edges
        >>> results = LoadCrowdImage()(dict(img=np.zeros((32, 32, 3), np.uint8), points=points))
        >>> VisibleCrop(32, scale_range=(1, 1))(results)['visible'].tolist()
        [0.5, 0.5]
    """

    HEAD_SIZES = ('neighbours', 'boxes')

    def __init__(
        self,
        crop_size: int | tuple[int, int] = 512,
        scale_range: tuple[float, float] = (0.75, 1.25),
        min_visible: float = 0.3,
        head_size: str = 'neighbours',
    ):
        super().__init__(crop_size, scale_range)
        if not 0 < min_visible <= 1:
            raise ValueError(f'min_visible={min_visible!r}, expected above 0 and at most 1')
        if head_size not in self.HEAD_SIZES:
            raise ValueError(f'head_size={head_size!r}, expected one of {self.HEAD_SIZES}')
        self.min_visible = min_visible
        self.head_size = head_size

    def kept(self, results: dict, size: tuple[int, int]) -> np.ndarray:
        """Which points stay in the crop; ``visible`` of all is added to the results.

        Raises:
            KeyError: There are no boxes to take the sizes from.
        """
        points = results['points'].astype(np.float64)
        # Pixels of the crop per pixel of the window, as for every other length.
        scale = np.sqrt(np.prod([c / s for c, s in zip(self.crop_size, size, strict=True)]))
        half = np.clip(self._sizes(results, points) * scale, *SIDES)[:, None] / scale / 2
        end = np.array([size[1], size[0]]) - 0.5
        shown = np.minimum(points + half, end) - np.maximum(points - half, -0.5)
        share = (shown.clip(0) / (2 * half)).prod(1)
        results['visible'] = share.astype(np.float32)
        return share >= self.min_visible

    def _sizes(self, results: dict, points: np.ndarray) -> np.ndarray:
        """``(m,)`` sizes of the heads in pixels of the window."""
        if self.head_size == 'boxes':
            if 'boxes' not in results:
                raise KeyError(
                    f"VisibleCrop: head_size='boxes', but {results.get('img_path')} has no boxes"
                )
            return results['boxes'][:, 3] - results['boxes'][:, 1]
        distances = neighbour_distances(points, NEIGHBOURS)
        if distances.shape[1] == 0:
            return np.full(len(points), SIDES[1])
        return distances.mean(1)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, scale_range={self.scale_range}, '
            f'min_visible={self.min_visible}, head_size={self.head_size!r})'
        )
