"""Predicted count of a point-neighbour case by the distance to the nearest other point, as figure 7
of the Proximal Mapping Loss draws it (Lin, Wan and Chan, ICLR 2025).

The case of a true point is what is nearer to it than to any other one (eq. 1-2). It holds one
person, and the mean of the predicted counts shows how well a model tells people apart who stand
close together. What a model predicts in images without people belongs to no case.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from mmcrowd.analysis.loss_figures import render
from mmcrowd.engine import launch
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.ops.neighbours import nearest_neighbour_distances, nearest_points
from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.structures import CrowdDataSample, SampleReader
from mmcrowd.visualization.palette import HELP_LINE, SERIES


class CaseCounts(NamedTuple):
    """The point-neighbour cases of some images.

    Attributes:
        distances: ``(m,)`` float64, from each true point to the nearest other one in its image, in
            pixels of the original frame; inf for a point that is alone.
        counts: ``(m,)`` float64, predicted persons in the case of each point.
    """

    distances: np.ndarray
    counts: np.ndarray


class DistanceBins(NamedTuple):
    """Cases by the distance to the nearest other point.

    Attributes:
        edges: ``(b + 1,)`` ends of the b bins in pixels; each holds its lower end, and the last one
            is open.
        number: ``(b,)`` int64, number of cases.
        mean: ``(b,)`` float64, their mean count; nan without cases.
    """

    edges: np.ndarray
    number: np.ndarray
    mean: np.ndarray


def density_counts(density: np.ndarray, points: np.ndarray, stride: int) -> np.ndarray:
    """Sum a density over the case of each point.

    Args:
        density: ``(h, w)``, persons per cell.
        points: ``(m, 2)`` true points ``(x, y)`` in input pixels, m > 0.
        stride: Input pixels per cell.

    Returns:
        ``(m,)`` float64; 0 for a point that owns no cell. Its sum is that of the density.

    Examples:
        >>> density_counts(np.array([[0.5, 0.25, 0.25]]), np.array([[0.0, 0.0], [2.0, 0.0]]), 1)
        array([0.75, 0.25])
    """
    index, _ = nearest_point_partition(points, density.shape, stride)
    return np.bincount(index.ravel(), density.ravel(), minlength=len(points))


def point_counts(predicted: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Count the predicted points in the case of each true point.

    Args:
        predicted: ``(k, 2)``.
        points: ``(m, 2)`` true points in the same frame, m > 0.

    Returns:
        ``(m,)`` float64; a predicted point half way between two counts for the first of them.

    Examples:
        >>> point_counts(np.array([[1.0, 0.0], [9.0, 9.0]]), np.array([[0.0, 0.0], [2.0, 0.0]]))
        array([1., 1.])
    """
    index = nearest_points(predicted, points)
    return np.bincount(index, minlength=len(points)).astype(np.float64)


def sample_cases(sample: CrowdDataSample | Mapping) -> CaseCounts:
    """Cases of a sample after prediction.

    They are counted in its density, or if there is none in its points. Cells are assigned in the
    input frame, in which they lie.

    Args:
        sample: The sample, or the dict that metrics get of it.

    Raises:
        KeyError: It has no true points, or neither density nor points, naming the image.
    """
    read = SampleReader(sample, 'count per case')
    read.require('gt_instances')
    truth = read.original_truth['points']
    if len(truth) == 0:
        return CaseCounts(np.empty(0), np.empty(0))
    density, points = read.density, read.gt_points
    if density is not None and points is not None:
        counts = density_counts(density, points, read.stride())
    else:
        read.require('pred_instances', hint='nor a pred_density')
        counts = point_counts(np.asarray(read.pred_points), truth)
    return CaseCounts(nearest_neighbour_distances(truth), counts)


def result_cases(results: Sequence[ImageResult]) -> CaseCounts:
    """Cases of predicted points.

    Args:
        results: Truth and prediction of each image.

    Raises:
        ValueError: An image has no true or no predicted points but only counts, naming it.
    """
    cases = []
    for result in results:
        if result.gt_points is None or result.pred_points is None:
            lacking = 'true' if result.gt_points is None else 'predicted'
            raise ValueError(f'image {result.img_id!r}: only a {lacking} count, expected points')
        if len(result.gt_points):
            distance = nearest_neighbour_distances(result.gt_points)
            cases.append(CaseCounts(distance, point_counts(result.pred_points, result.gt_points)))
    return _joined(cases)


def model_cases(cfg: Config, checkpoint: str, work_dir: str) -> CaseCounts:
    """Cases of what a model predicts on the test images of its config.

    Args:
        cfg: Config of the model and its test images.
        checkpoint: File or URL.
        work_dir: Folder of the log.

    Raises:
        FileNotFoundError: The checkpoint is missing or cannot be downloaded.
        KeyError: As :func:`sample_cases`.
    """
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.launcher, cfg.work_dir = 'none', work_dir
    cfg.test_evaluator = []
    recorder = _CaseRecorder()
    launch.test(cfg, [recorder])
    return recorder.cases


class _CaseRecorder(BaseMetric):
    """Keeps the cases of a test run."""

    default_prefix = 'cases'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        self.results.extend(map(sample_cases, data_samples))

    def compute_metrics(self, results: list[CaseCounts]) -> dict:
        self.cases = _joined(results)
        return {}


def _joined(cases: Sequence[CaseCounts]) -> CaseCounts:
    if not cases:
        return CaseCounts(np.empty(0), np.empty(0))
    return CaseCounts(*map(np.concatenate, zip(*cases, strict=True)))


def by_distance(cases: CaseCounts, width: float = 4.0, bins: int = 10) -> DistanceBins:
    """Average the counts of the cases by the distance to the nearest other point.

    Args:
        cases: The cases.
        width: Of a bin in pixels. Defaults to 4.0, as in the paper.
        bins: Number of bins, of which the last is open. Defaults to 10.

    Raises:
        ValueError: The width is not positive or there are no bins.

    Examples:
        >>> cases = CaseCounts(np.array([1.0, 3.0, 4.0, np.inf]), np.array([0.5, 1.0, 0.9, 1.1]))
        >>> by_distance(cases, bins=2)
        DistanceBins(edges=array([ 0.,  4., inf]), number=array([2, 2]), mean=array([0.75, 1.  ]))
    """
    if not (width > 0 and bins > 0):
        raise ValueError(f'width and bins must be positive, but got {width=}, {bins=}')
    edges = np.append(width * np.arange(bins), np.inf)
    place = np.searchsorted(edges[:-1], cases.distances, side='right') - 1
    number = np.bincount(place, minlength=bins)
    total = np.bincount(place, cases.counts, minlength=bins)
    mean = np.divide(total, number, out=np.full(bins, np.nan), where=number > 0)
    return DistanceBins(edges, number, mean)


def case_table(binned: Mapping[str, DistanceBins]) -> str:
    """The bins in Markdown, two columns for each model.

    Args:
        binned: Bins with the same edges by the name of the model.
    """
    names = list(binned)
    edges = binned[names[0]].edges
    columns = [f'{name}: {what}' for name in names for what in ('cases', 'mean count')]
    lines = [' | '.join(['| distance, px', *columns]) + ' |', '|---' * (1 + len(columns)) + '|']
    for place, label in enumerate(_labels(edges)):
        values = [
            text
            for bins in binned.values()
            for text in (str(bins.number[place]), f'{bins.mean[place]:.4f}')
        ]
        lines.append(' | '.join([f'| {label}', *values]) + ' |')
    return '\n'.join(lines)


def draw_cases(binned: Mapping[str, DistanceBins]) -> np.ndarray:
    """Draw the mean counts above, the numbers of cases below.

    Args:
        binned: Bins with the same edges by the name of the model.

    Returns:
        The picture, RGB uint8 ``(H, W, 3)``.
    """
    figure = Figure(figsize=(8, 6), dpi=120, layout='constrained')
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    upper.axhline(1, color=HELP_LINE, linewidth=1, linestyle='--')
    share = 0.8 / len(binned)
    for row, (name, bins) in enumerate(binned.items()):
        color, places = SERIES[row % len(SERIES)], np.arange(len(bins.number))
        upper.plot(places, bins.mean, color=color, marker='o', label=name)
        lower.bar(places + share * (row + 0.5) - 0.4, bins.number, share, color=color)
    upper.set_ylim(bottom=0)
    upper.set_ylabel('mean count of a case')
    upper.legend(frameon=False)
    lower.set_ylabel('number of cases')
    lower.set_xlabel('distance to the nearest other point, px')
    labels = _labels(next(iter(binned.values())).edges)
    lower.set_xticks(range(len(labels)), labels)
    for axes in (upper, lower):
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[['top', 'right']].set_visible(False)
    return render(figure)


def _labels(edges: np.ndarray) -> list[str]:
    closed = [f'{low:g}-{high:g}' for low, high in pairwise(edges[:-1])]
    return [*closed, f'{edges[-2]:g}+']
