"""Points at the local maxima of a density map."""

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.ops.cells import cell_centre
from mmcrowd.ops.checks import check_not_negative, check_positive
from mmcrowd.ops.smoothing import gaussian_blur
from mmcrowd.registry import TASK_UTILS

# Default threshold of each mode.
THRESHOLDS = dict(absolute=0.01, relative=0.20, adaptive=100 / 255)

# Of the maxima that are shown to people, in the page and in exported files; see docs/inference.md.
# demo/count_onnx.py has the same.
PEAK_THRESHOLD = 0.1

SIGMA = 4.0  # of the Gaussian head that the relative mode compares with, in input pixels


@TASK_UTILS.register_module()
class LocalMaximum:
    r"""Take the local maxima of a density map that pass a threshold.

    A cell is a local maximum if it is positive, equals the largest value of the window around it
    and does not touch a cell of equal value that fails to. Equal maxima within half a window of
    each other, such as the plateaus of a map in a short floating type, are one point, at the mean
    of their cells; it passes if one of its cells does. So a map that is constant and positive has
    one point, in its middle, and a map of zeros has none.

    A value ``v`` in persons per cell passes

    - in mode ``'absolute'`` if ``v >= threshold``;
    - in mode ``'relative'`` if ``v >= threshold * max(m, clamp * p)``, where ``m`` is the largest
      value of the square patch around the cell and ``p`` the mass that a Gaussian head of
      :math:`\sigma = 4` input pixels gives to the cell at its centre. The threshold is 0.10 for
      NWPU-Crowd and JHU-Crowd++, 0.15 for UCF-QNRF and 0.20 for others; that the patch is centred
      on the cell, its side and the clamp are our reading;
    - in mode ``'adaptive'`` if ``v >= threshold * max(density)``, and nothing passes where
      ``max(density) < floor`` (Liang et al.: *Focal Inverse Distance Transform Maps for Crowd
      Localization*, IEEE TMM 2022; there the floor is 0.1 of a map whose heads have the peak 1).
      The maximum is that of the map before any smoothing.

    The published program of FIDTM is ``LocalMaximum(mode='adaptive', floor=0.1, join=False,
    source='map')``, with ``smooth=3`` while it trains on UCF-QNRF.

    Args:
        threshold: Persons per cell in the absolute mode, a ratio in the others.
            Defaults to 0.01, 0.20 (relative) or 100 / 255 (adaptive).
        mode: ``'absolute'``, ``'relative'`` or ``'adaptive'``. Defaults to ``'absolute'``.
        window: Side of the window of a maximum, in cells, odd and at least 3. Defaults to 3.
        patch: Side of the patch of the relative mode, in input pixels. Defaults to 128.
        clamp: Of the relative mode, as above. Defaults to 0.5.
        floor: Of the adaptive mode, in persons per cell. Defaults to 0.01.
        smooth: Side of the square, in cells and odd, whose mean replaces a cell before the
            search; what lies beyond the border counts as 0. Defaults to 1, no smoothing.
        join: Whether equal maxima beside each other are one point, and those at a step in a
            slope none. Otherwise every cell that equals the largest value of its window is a point.
            Defaults to True.
        source: Output of the network that is searched, where it has several. Defaults to
            ``'density'``.
        blur: Standard deviation in input pixels of a Gaussian blur before the search, which joins
            the peaks of one head; see :func:`~mmcrowd.ops.smoothing.gaussian_blur`. It lowers the
            values, and so needs a lower absolute threshold. Defaults to 0.0, none.

    Raises:
        ValueError: Unknown mode, a window that is even or below 3, an even or negative ``smooth``,
            a ``patch`` that is not positive, or another number that is negative or NaN.

    Examples:
        >>> density = torch.zeros(4, 6)
        >>> density[1, 2], density[2, 5] = 0.5, 0.25
        >>> LocalMaximum()(density, stride=2)
        (tensor([[ 4.5000,  2.5000],
                [10.5000,  4.5000]]), tensor([0.5000, 0.2500]))
    """

    def __init__(
        self,
        threshold: float | None = None,
        mode: str = 'absolute',
        window: int = 3,
        patch: int = 128,
        clamp: float = 0.5,
        floor: float = 0.01,
        smooth: int = 1,
        join: bool = True,
        source: str = 'density',
        blur: float = 0.0,
    ) -> None:
        if mode not in THRESHOLDS:
            raise ValueError(
                f'LocalMaximum: mode must be one of {tuple(THRESHOLDS)}, but got {mode!r}'
            )
        if window < 3 or window % 2 != 1:
            raise ValueError(f'LocalMaximum: window must be odd and at least 3, but got {window}')
        if smooth < 1 or smooth % 2 != 1:
            raise ValueError(f'LocalMaximum: smooth must be odd and positive, but got {smooth}')
        threshold = THRESHOLDS[mode] if threshold is None else threshold
        check_not_negative(self, threshold=threshold, clamp=clamp, floor=floor, blur=blur)
        check_positive(self, patch=patch)
        self.threshold = threshold
        self.mode = mode
        self.window = window
        self.patch = patch
        self.clamp = clamp
        self.floor = floor
        self.smooth = smooth
        self.blur = blur
        self.join = join
        self.source = source

    @torch.no_grad()
    def __call__(
        self, outputs: Tensor | Mapping[str, Tensor], stride: int
    ) -> tuple[Tensor, Tensor]:
        """Find the points of one image.

        The search runs on the device of the density, the joining of plateaus on the host.

        Args:
            outputs: Density ``(h, w)`` in persons per cell, or the
                outputs of the network for the image, of which ``source`` is taken.
            stride: Input pixels per cell. Cell (i, j) has its centre at
                ``(j * stride + (stride - 1) / 2, i * stride + (stride - 1) / 2)``.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)``
            scores, the values of the cells in persons per cell; float32, on the device of the
            density, by falling score and then in the order of rows.

        Raises:
            KeyError: The outputs have no ``source``.
            ValueError: The density is not ``(h, w)``, not of a floating type or not finite.
        """
        density = take_source(outputs, self.source, self)
        check_density(density, stride, self)
        if density.dtype in (torch.float16, torch.bfloat16):
            density = density.float()
        density, peak, high = self._search(density, stride)
        # A step in a slope: the plateau goes on in a cell that sees a higher one.
        others = density.masked_fill(peak, -math.inf)
        peak_beside_equal = peak & (sliding_max(others, 3) == density)
        cells = peak.nonzero()
        index = tuple(cells.T)
        values, passes, step = (
            array[index].cpu().numpy() for array in (density, high, peak_beside_equal)
        )
        cells = cells.cpu().numpy()

        if self.join:
            plateau = join_neighbours(cells, self.window // 2)
        else:
            plateau = np.arange(len(cells))
            step = np.zeros_like(step)
        number = plateau.max(initial=-1) + 1
        size = np.bincount(plateau, minlength=number)
        kept = np.bincount(plateau, passes, number) > 0
        kept &= np.bincount(plateau, step, number) == 0
        rows, columns = (np.bincount(plateau, axis, number) / size for axis in cells.T)
        points = cell_centre(np.stack((columns, rows), 1)[kept], stride)
        scores = np.empty(number)
        scores[plateau] = values
        scores = scores[kept]
        order = np.argsort(-scores, kind='stable')
        return tuple(
            torch.from_numpy(array[order]).to(density.device, torch.float32)
            for array in (points, scores)
        )

    def batch_counts(self, outputs: Mapping[str, Tensor], stride: int) -> Tensor | None:
        """How many points each image of a batch has, ``(N,)``; None with ``join``.

        Args:
            outputs: Outputs of the network for the batch; ``source`` is ``(N, 1, h, w)`` float32.
            stride: Input pixels per cell.
        """
        if self.join:
            return None
        maps = take_source(outputs, self.source, self)[:, 0]
        found = (self._search(density, stride) for density in maps)
        return torch.stack([(peak & high).sum() for _, peak, high in found])

    def _search(self, density: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        """The map that is searched, which cells are largest in their windows, and which pass."""
        largest = density.max()
        if self.smooth > 1:
            density = F.avg_pool2d(density[None], self.smooth, 1, self.smooth // 2)[0]
        if self.blur > 0:
            density = gaussian_blur(density, self.blur / stride)
        peak = (density > 0) & (density == sliding_max(density, self.window))
        return density, peak, self._passes(density, largest, stride)

    def _passes(self, density: Tensor, largest: Tensor, stride: int) -> Tensor:
        """``(h, w)`` bool, where the value of a cell passes the threshold."""
        if self.mode == 'absolute':
            return density >= self.threshold
        if self.mode == 'adaptive':
            return (density >= self.threshold * largest) & (largest >= self.floor)
        head = math.erf(stride / 2 / (SIGMA * math.sqrt(2))) ** 2
        local = sliding_max(density, 2 * round(self.patch / (2 * stride)) + 1)
        return density >= self.threshold * local.clamp(min=self.clamp * head)


def sliding_max(values: Tensor, window: int) -> Tensor:
    """Largest value of the square window around each cell, cut off at the borders.

    Args:
        values: ``(h, w)``.
        window: Side of the window in cells, odd.

    Returns:
        ``(h, w)``.
    """
    half = window // 2
    rows = F.max_pool2d(values[None], (window, 1), 1, (half, 0))
    return F.max_pool2d(rows, (1, window), 1, (0, half))[0]


def join_neighbours(cells: np.ndarray, reach: int) -> np.ndarray:
    """Number the groups of cells that steps of at most ``reach`` along each axis connect.

    Args:
        cells: ``(k, 2)`` rows and columns.
        reach: In cells.

    Returns:
        ``(k,)`` number of each cell's group, in the order of the groups' first cells.
    """
    if len(cells) == 0:
        return np.zeros(0, np.int64)
    first, second = cKDTree(cells).query_pairs(reach, p=np.inf, output_type='ndarray').T
    links = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(cells),) * 2)
    _, group = connected_components(links, directed=False)
    _, start, group = np.unique(group, return_index=True, return_inverse=True)
    return start.argsort().argsort()[group]
