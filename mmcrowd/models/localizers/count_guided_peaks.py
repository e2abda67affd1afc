"""Peaks of a map, as many as a coarser map counts (Cheng et al.: *Decoupled Two-Stage Crowd
Counting and Beyond*, IEEE Transactions on Image Processing 2021)."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.ops.cells import cell_centre
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class CountGuidedPeaks:
    """Let squares of counted cells vote for the highest peaks inside of them.

    Candidates are the local maxima (3 x 3) of the map after a mean over 3 x 3 cells. At every cell
    of the counts but the last row and column a square of two or more cells begins: the smallest
    whose counts add up to more than 1, or else the largest that fits. It votes for as many of the
    highest candidates in it as it counts, rounded to the even number at a half. A candidate with
    the votes of at least half of the squares that cover it is a point. So one head with two peaks
    gives one point where the counts say that one person is there.

    The published program is ``CountGuidedPeaks(source='probability', counts='count',
    spare_votes=True)``.

    Args:
        cell: Side of a cell of the counts in input pixels, a multiple of the stride. Defaults to
            32.
        counts: Output with the persons of each cell. Defaults to None: ``source`` is a density,
            whose sum is taken over each cell.
        spare_votes: Whether a square with fewer candidates than it counts gives the rest of its
            votes to its upper left corner, which so may become a point, as published. Defaults to
            False, they are lost.
        source: Output with the map that has the peaks. Defaults to ``'density'``.

    Raises:
        ValueError: ``cell`` is not positive.

    Examples:
        One head has two peaks.

        >>> from mmcrowd.ops.smoothing import gaussian_blur
        >>> density = torch.zeros(8, 8)
        >>> density[1, 1], density[1, 5], density[6, 5] = 0.5, 0.4, 0.9
        >>> density = gaussian_blur(density, 0.5)
        >>> CountGuidedPeaks(cell=4)(density, stride=1)[0]
        tensor([[5., 6.],
                [1., 1.]])
    """

    def __init__(
        self,
        cell: int = 32,
        counts: str | None = None,
        spare_votes: bool = False,
        source: str = 'density',
    ) -> None:
        if cell < 1:
            raise ValueError(f'CountGuidedPeaks: cell={cell!r}, expected a positive number')
        self.cell = cell
        self.counts = counts
        self.spare_votes = spare_votes
        self.source = source

    @torch.no_grad()
    def __call__(
        self, outputs: Tensor | Mapping[str, Tensor], stride: int
    ) -> tuple[Tensor, Tensor]:
        """Find the points of one image; the votes are counted on the host.

        Args:
            outputs: Density ``(h, w)`` in persons per cell, or the outputs of the network for the
                image, of which ``source`` and ``counts`` are taken.
            stride: Input pixels per cell of the map with the peaks.

        Returns:
            ``(k, 2)`` points ``(x, y)`` in input pixels, centres of cells, and their ``(k,)``
            scores, the values of the smoothed map; float32, on the device of the map, by falling
            score and then in the order of rows.

        Raises:
            KeyError: The outputs lack ``source`` or ``counts``.
            TypeError: ``counts`` is an output, but there is only a map.
            ValueError: A map is not ``(h, w)``, floating and finite, ``cell`` is no multiple of the
                stride, or the counts do not cover the map.
        """
        density = take_source(outputs, self.source, self)
        check_density(density, stride, self)
        if self.cell % stride:
            raise ValueError(
                f'CountGuidedPeaks: cell={self.cell}, expected a multiple of the stride {stride}'
            )
        density = density.to(torch.promote_types(density.dtype, torch.float32))
        side = self.cell // stride
        counts = self._counts(outputs, density, side)
        peaks, scores = highest_first(density)
        votes = np.zeros(len(peaks))
        corners: dict[tuple[int, int], int] = {}
        covered = np.zeros(counts.shape)
        row, column = (peaks // side).T
        squares, totals = count_squares(counts)
        for (top, left, size), total in zip(squares.tolist(), totals.tolist(), strict=True):
            bottom, right = top + size, left + size
            covered[top:bottom, left:right] += 1
            number = round(total)
            if number < 1:  # most squares of a map with few people
                continue
            inside = np.flatnonzero(
                (row >= top) & (row < bottom) & (column >= left) & (column < right)
            )
            votes[inside[:number]] += 1
            if number > len(inside):
                corner = (top * side, left * side)
                corners[corner] = corners.get(corner, 0) + number - len(inside)
        if self.spare_votes:
            peaks, scores, votes = with_corners(peaks, scores, votes, corners)
            row, column = (peaks // side).T
        chosen = votes >= 0.5 * covered[row, column]
        points = cell_centre(peaks[chosen][:, ::-1].astype(np.float64), stride)
        found, scores = (
            torch.from_numpy(array).to(density.device, torch.float32)
            for array in (points, scores[chosen])
        )
        return found, scores

    def _counts(
        self, outputs: Tensor | Mapping[str, Tensor], density: Tensor, side: int
    ) -> np.ndarray:
        """Persons of each cell of the counts."""
        needed = tuple(-(-length // side) for length in density.shape)
        if self.counts is None:
            sums = F.avg_pool2d(density[None], side, ceil_mode=True, divisor_override=1)
            return sums[0].cpu().numpy()
        if not isinstance(outputs, Mapping):
            raise TypeError(
                f'CountGuidedPeaks: counts={self.counts!r} is an output, expected the outputs of '
                'the network, but got one map'
            )
        counts = take_source(outputs, self.counts, self)
        check_density(counts, self.cell, self)
        if tuple(counts.shape) != needed:
            raise ValueError(
                f'CountGuidedPeaks: the counts {self.counts!r} have the shape '
                f'{tuple(counts.shape)}, but {self.source!r} of {tuple(density.shape)} needs '
                f'{needed}'
            )
        return counts.cpu().numpy()


def highest_first(density: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of the mean over 3 x 3 cells, which counts 0 beyond the border.

    Args:
        density: ``(h, w)``.

    Returns:
        ``(k, 2)`` rows and columns and ``(k,)`` values, float64, by falling value and then in the
        order of rows.
    """
    smooth = F.avg_pool2d(density[None], 3, 1, 1)
    peak = (smooth > 0) & (smooth == F.max_pool2d(smooth, 3, 1, 1))
    cells = peak[0].nonzero().cpu().numpy()
    values = smooth[0].cpu().numpy()[tuple(cells.T)].astype(np.float64)
    order = np.argsort(-values, kind='stable')
    return cells[order], values[order]


def count_squares(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares of cells, the smallest that count more than 1 person or else the largest that fit.

    Args:
        counts: ``(h, w)`` persons per cell.

    Returns:
        ``(n, 3)`` first row, first column and side of the square of every cell but those of the
        last row and column, and ``(n,)`` persons in it, float64. A map of one row or column has
        squares of one cell.
    """
    height, width = counts.shape
    least = min(2, height, width)
    tops, lefts = np.indices((height - least + 1, width - least + 1)).reshape(2, -1)
    largest = np.minimum(height - tops, width - lefts)
    # Persons above and to the left of every corner of a cell.
    before = np.pad(counts.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sizes, totals = np.full(len(tops), least), np.zeros(len(tops))
    growing = np.arange(len(tops))
    while len(growing):
        top, left, size = tops[growing], lefts[growing], sizes[growing]
        bottom, right = top + size, left + size
        total = before[bottom, right] - before[top, right] - before[bottom, left]
        total += before[top, left]
        totals[growing] = total
        growing = growing[(total <= 1) & (size < largest[growing])]
        sizes[growing] += 1
    return np.stack((tops, lefts, sizes), 1), totals


def with_corners(
    peaks: np.ndarray,
    scores: np.ndarray,
    votes: np.ndarray,
    corners: Mapping[tuple[int, int], int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add the votes for corners of squares to those for peaks; a corner that is no peak joins them
    at the end, with the score 0.

    Args:
        peaks: ``(k, 2)`` rows and columns.
        scores: ``(k,)``.
        votes: ``(k,)``.
        corners: Number of votes for each (row, column).

    Returns:
        Peaks, scores and votes.
    """
    votes = votes.copy()
    places = {(row, column): i for i, (row, column) in enumerate(peaks.tolist())}
    new = [corner for corner in corners if corner not in places]
    for corner, number in corners.items():
        if corner in places:
            votes[places[corner]] += number
    return (
        np.concatenate([peaks, np.array(new, peaks.dtype).reshape(-1, 2)]),
        np.concatenate([scores, np.zeros(len(new))]),
        np.concatenate([votes, [float(corners[corner]) for corner in new]]),
    )
