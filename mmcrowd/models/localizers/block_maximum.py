"""Points of densities of several scales (Han, Bai, Liu and Ouyang: *STEERER: Resolving Scale
Variations for Counting and Localization via Selective Inheritance Learning*, ICCV 2023)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.ops.cells import cell_centre
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class BlockMaximum:
    r"""Take local maxima that pass a threshold of their block, of the finest density first.

    A cell of a density is a peak if it is positive, the largest of its 3 x 3 window (equal ones
    too), and at least

    .. math:: \min(\tau \max(b, g), \; 0.3 \, g)

    with the largest value b of the square block that it lies in, blocks beginning in the upper left
    corner, and the largest value g of the Gaussian that the network was trained on. All peaks of
    the first of the ``levels`` are points. Of each following one those are added that lie farther
    than its distance from every point so far.

    Args:
        threshold: The ratio tau. The published configs have 0.20 for ShanghaiTech, 0.15 for
            UCF-QNRF and 0.10 for JHU-Crowd++ and NWPU-Crowd. Defaults to 0.2.
        levels: Places of the densities that are searched, the finest first; the cells of density i
            are 2^i times as large as those of the first. Defaults to (0, 2, 3).
        blocks: Side of a block of each of them, in its cells. Defaults to (32, 32, 16).
        distances: Of each but the first, in input pixels. Defaults to (32.0, 64.0).
        sigma: Standard deviation of the Gaussian in cells. Defaults to 4.0.
        kernel_size: Side of its window in cells. Defaults to 15.
        published_cells: Whether cell i lies at ``i * stride``, as in the published program, in
            place of its centre; for networks trained with the option of this name of
            :class:`~mmcrowd.models.losses.MSILoss`. Defaults to False.
        source: Output with the densities, a list of maps or one map. Defaults to ``'densities'``.

    Raises:
        ValueError: There are not as many blocks as levels and one distance less, or an argument is
            not positive.

    Examples:
        >>> fine, coarse = torch.zeros(8, 8), torch.zeros(4, 4)
        >>> fine[2, 1], coarse[1, 0], coarse[3, 3] = 0.01, 0.01, 0.01
        >>> localizer = BlockMaximum(levels=(0, 1), blocks=(4, 4), distances=(4.0,))
        >>> localizer(dict(densities=[fine, coarse]), stride=1)
        (tensor([[1.0000, 2.0000],
                [6.5000, 6.5000]]), tensor([0.0100, 0.0100]))
    """

    def __init__(
        self,
        threshold: float = 0.2,
        levels: Sequence[int] = (0, 2, 3),
        blocks: Sequence[int] = (32, 32, 16),
        distances: Sequence[float] = (32.0, 64.0),
        sigma: float = 4.0,
        kernel_size: int = 15,
        published_cells: bool = False,
        source: str = 'densities',
    ) -> None:
        if not len(levels) == len(blocks) == len(distances) + 1:
            raise ValueError(
                f'BlockMaximum: levels={tuple(levels)}, blocks={tuple(blocks)} and distances='
                f'{tuple(distances)}, expected as many blocks as levels, and one distance less'
            )
        if min(threshold, sigma, kernel_size, *blocks) <= 0:
            raise ValueError(
                f'BlockMaximum: threshold={threshold}, sigma={sigma}, kernel_size={kernel_size} '
                f'and blocks={tuple(blocks)}, expected positive numbers'
            )
        self.threshold = threshold
        self.levels = tuple(levels)
        self.blocks = tuple(blocks)
        self.distances = tuple(distances)
        self.published_cells = published_cells
        self.source = source
        reach = np.arange(kernel_size) - kernel_size // 2
        self.gaussian_maximum = 1 / np.exp(-(reach**2) / (2 * sigma**2)).sum() ** 2

    @torch.no_grad()
    def __call__(self, outputs: Tensor | Mapping[str, Any], stride: int) -> tuple[Tensor, Tensor]:
        """Find the points of one image; the search for peaks runs on the device of the densities.

        Args:
            outputs: Outputs of the network for the image, of which ``source`` is taken, or that:
                densities ``(h, w)`` in persons per cell.
            stride: Input pixels per cell of the first density.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)`` scores, persons per
            cell; float32, level by level and in the order of rows.

        Raises:
            KeyError: The outputs have no ``source``.
            ValueError: A density is missing, or is not ``(h, w)``, floating and finite.
        """
        densities = take_source(outputs, self.source, self)
        if isinstance(densities, Tensor):
            densities = [densities]
        if len(densities) <= max(self.levels):
            raise ValueError(
                f'BlockMaximum: levels={self.levels}, but {self.source!r} has {len(densities)} '
                'densities'
            )
        points, scores = np.zeros((0, 2)), np.zeros(0)
        for level, block, distance in zip(
            self.levels, self.blocks, (0.0, *self.distances), strict=True
        ):
            found, values = self.peaks(densities[level], block, stride << level)
            if len(points) and len(found):
                new = cKDTree(points).query(found)[0] > distance
                found, values = found[new], values[new]
            points, scores = np.concatenate([points, found]), np.concatenate([scores, values])
        device = densities[0].device
        return (
            torch.from_numpy(points).to(device, torch.float32),
            torch.from_numpy(scores).to(device, torch.float32),
        )

    def peaks(self, density: Tensor, block: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Peaks of one density.

        Args:
            density: ``(h, w)`` persons per cell.
            block: Side of a block in cells.
            stride: Input pixels per cell.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels and their ``(k,)`` values, row by row.
        """
        check_density(density, stride, self)
        height, width = density.shape
        padded = F.pad(density, (0, -width % block, 0, -height % block))[None]
        largest = F.max_pool2d(padded, block)[0]
        limit = self.threshold * largest.clamp(min=self.gaussian_maximum)
        limit = limit.clamp(max=0.3 * self.gaussian_maximum)
        limit = limit.repeat_interleave(block, 0).repeat_interleave(block, 1)[:height, :width]
        peak = (density > 0) & (density >= limit)
        peak &= density == F.max_pool2d(density[None], 3, 1, 1)[0]
        cells = peak.nonzero()
        values = density[tuple(cells.T)].cpu().double().numpy()
        columns_rows = cells.flip(1).cpu().double().numpy()
        if self.published_cells:
            return columns_rows * stride, values
        return cell_centre(columns_rows, stride), values
