"""Which localizer, with which settings, finds the people in the outputs of one counter best?

The network runs once for an image, and every localizer searches the same outputs. Settings are
chosen on the validation images, for each radius, and the best of each type are scored on the test
images once.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils.data import Dataset

from mmcrowd.evaluation.metrics.localization_metric import LocalizationMetric
from mmcrowd.models.counters.base_counter import BaseCounter, locate
from mmcrowd.models.counters.outputs import Outputs
from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures.crowd_data_sample import CrowdDataSample
from mmcrowd.structures.frame import to_input_frame
from mmcrowd.visualization.drawing import add_caption, draw_points, point_radius, side_by_side
from mmcrowd.visualization.palette import PREDICTION_COLOR, TEXT_COLOR, TRUTH_COLOR

# Settings for a density in persons per cell. Each argument in ``grid`` has several values.
CANDIDATES: tuple[dict, ...] = (
    dict(
        type='LocalMaximum',
        grid=dict(
            threshold=(0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3), blur=(0.0, 2.0, 3.0, 4.0)
        ),
    ),
    dict(type='LocalMaximum', grid=dict(threshold=(0.02, 0.03, 0.05, 0.07), smooth=(3, 5))),
    dict(
        type='LocalMaximum',
        mode='relative',
        grid=dict(threshold=(0.1, 0.2, 0.3, 0.5), blur=(0.0, 2.0)),
    ),
    dict(
        type='LocalMaximum',
        mode='adaptive',
        grid=dict(threshold=(0.1, 0.2, 100 / 255), blur=(0.0, 2.0)),
    ),
    # Of one density only the first level is there.
    dict(
        type='BlockMaximum',
        source='density',
        levels=(0,),
        blocks=(32,),
        distances=(),
        grid=dict(threshold=(0.1, 0.2, 0.3), sigma=(0.5, 0.7, 1.0, 1.5)),
    ),
    dict(
        type='MultiScaleMaximum',
        grid=dict(
            threshold=(0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
            sigmas=((2.0, 4.0, 8.0), (3.0, 6.0, 12.0), (4.0, 8.0, 16.0)),
        ),
    ),
    dict(
        type='ConnectedComponents',
        centre='mass',
        grid=dict(threshold=(0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2), min_area=(1, 2)),
    ),
    dict(
        type='BoxNMS',
        grid=dict(
            sizes=(8.0, 12.0, 16.0, 24.0), threshold=(0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
        ),
    ),
    dict(type='CountGuidedPeaks', grid=dict(cell=(8, 16, 32, 64))),
    dict(type='OTMinimization'),
)


class LocalizerScore(NamedTuple):
    """How well a localizer found the people of a set of images.

    Attributes:
        localizer: Its config.
        scores: ``'P@4'``, ``'R@4'``, ``'F1@4'`` and so on, 0 to 1; see
            :class:`~mmcrowd.evaluation.LocalizationMetric`.
        milliseconds: A search took, on average over the images.
    """

    localizer: dict
    scores: dict[str, float]
    milliseconds: float


def expand(candidates: Sequence[Mapping[str, Any]]) -> list[dict]:
    """Write out the grids of candidates, one localizer for each combination of values.

    Examples:
        >>> expand([dict(type='A', grid=dict(x=(1, 2), y=(3,))), dict(type='B')])
        [{'type': 'A', 'x': 1, 'y': 3}, {'type': 'A', 'x': 2, 'y': 3}, {'type': 'B'}]
    """
    localizers = []
    for candidate in candidates:
        fixed = {key: value for key, value in candidate.items() if key != 'grid'}
        grid = candidate.get('grid', {})
        for values in itertools.product(*grid.values()):
            localizers.append({**fixed, **dict(zip(grid, values, strict=True))})
    return localizers


def score_localizers(
    model: BaseCounter,
    dataset: Dataset,
    localizers: Sequence[dict],
    radii: Sequence[float] = (4, 8),
    num_images: int | None = None,
) -> list[LocalizerScore]:
    """Score localizers on the outputs of one network.

    Args:
        model: The counter, on its device, in evaluation mode. Its own localizer takes no part.
        dataset: Images with points; the pipeline ends in ``PackCrowdInputs``.
        localizers: Their configs.
        radii: Within which predicted and true points are matched, in pixels of the original frame.
            Defaults to (4, 8).
        num_images: As many of the first images, at most. Defaults to None, all.

    Returns:
        A score for each localizer, in their order.

    Raises:
        ValueError: The data set is empty.
    """
    number = len(dataset) if num_images is None else min(num_images, len(dataset))  # type: ignore[arg-type]
    if not number:
        raise ValueError('the data set has no images to score localizers on')
    built = [TASK_UTILS.build(localizer) for localizer in localizers]
    metrics = [LocalizationMetric(radii) for _ in localizers]
    seconds = np.zeros(len(localizers))
    for seen in _run(model, dataset, range(number)):
        for k, (localizer, metric) in enumerate(zip(built, metrics, strict=True)):
            begin = time.perf_counter()
            seen.sample.pred_instances = locate(localizer, seen.outputs, seen.stride, seen.sample)
            seconds[k] += time.perf_counter() - begin
            metric.process(None, [seen.sample.to_dict()])
    rows = []
    for localizer, metric, total in zip(localizers, metrics, seconds, strict=True):
        scores = metric.compute_metrics(metric.results)
        scores = {key: value for key, value in scores.items() if not key.startswith('R_A')}
        rows.append(LocalizerScore(localizer, scores, 1000 * float(total) / number))
    return rows


def best_of_each_type(scores: Sequence[LocalizerScore], key: str = 'F1@8') -> list[LocalizerScore]:
    """The best setting of each type of localizer, the best type first.

    Args:
        scores: Of any number of settings.
        key: The score that decides; of equal ones the first is taken. Defaults to ``'F1@8'``.
    """
    best: dict[str, LocalizerScore] = {}
    for score in scores:
        known = best.get(score.localizer['type'])
        if known is None or score.scores[key] > known.scores[key]:
            best[score.localizer['type']] = score
    return sorted(best.values(), key=lambda score: -score.scores[key])


def best_settings(
    scores: Sequence[LocalizerScore], keys: Sequence[str] = ('F1@4', 'F1@8')
) -> list[tuple[dict, list[str]]]:
    """The settings that are the best of their type by one of several scores, each once.

    Args:
        scores: Of any number of settings.
        keys: The scores that decide, see :func:`best_of_each_type`. Defaults to
            ``('F1@4', 'F1@8')``.

    Returns:
        Localizers, each with those of the scores by which it is the best.
    """
    best: dict[str, tuple[dict, list[str]]] = {}
    for key in keys:
        for score in best_of_each_type(scores, key):
            best.setdefault(_text(score.localizer), (score.localizer, []))[1].append(key)
    return list(best.values())


def score_table(
    scores: Sequence[LocalizerScore], chosen_by: Sequence[Sequence[str]] | None = None
) -> str:
    """The scores as a table in Markdown, one line each.

    Args:
        scores: One or more.
        chosen_by: For each the scores by which it was chosen. Defaults to None, no such column.
    """
    keys = list(scores[0].scores)
    head = ['localizer', *(['chosen by'] if chosen_by else []), *keys, 'ms']
    lines = [f'| {" | ".join(head)} |', f'|---|{"--:|" * (len(head) - 1)}']
    for k, score in enumerate(scores):
        cells = [f'`{_text(score.localizer)}`']
        if chosen_by:
            cells.append(', '.join(chosen_by[k]))
        cells += [f'{score.scores[key]:.3f}' for key in keys]
        lines.append(f'| {" | ".join(cells)} | {score.milliseconds:.1f} |')
    return '\n'.join(lines)


def draw_localizers(
    model: BaseCounter,
    dataset: Dataset,
    localizers: Sequence[dict],
    index: int = 0,
    side: int = 256,
    zoom: int = 2,
) -> np.ndarray:
    """Draw the same part of an image with the truth and with the points of each localizer.

    The part is the square with most people, in the input frame. Heads are dots, points are rings.

    Args:
        model: The counter, in evaluation mode.
        dataset: As in :func:`score_localizers`.
        localizers: Their configs.
        index: Place of the image in the data set. Defaults to 0.
        side: Of the square in pixels of the input frame. Defaults to 256.
        zoom: Pixels of the picture per pixel of the input frame. Defaults to 2.

    Returns:
        ``(H, W, 3)`` RGB uint8.
    """
    (seen,) = _run(model, dataset, [index])
    true = np.asarray(seen.sample.gt_instances.points.cpu(), float)
    x, y = _fullest_square(true, seen.sample.img_shape, side)
    part = np.ascontiguousarray(seen.img[y : y + side, x : x + side])
    part = cv2.resize(part, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)

    def visible(points: np.ndarray) -> np.ndarray:
        """Points of the input frame that lie in the part, in pixels of the picture."""
        moved = (points - (x, y) + 0.5) * zoom - 0.5
        inside = (moved >= -0.5) & (moved < np.array(part.shape[1::-1]) - 0.5)
        return moved[inside.all(axis=1)]

    heads = visible(true)
    radius = point_radius(heads, max(part.shape))
    panels = []
    for localizer in localizers:
        found = locate(TASK_UTILS.build(localizer), seen.outputs, seen.stride, seen.sample)
        points = visible(to_input_frame(found.points.cpu().numpy(), seen.sample.metainfo))
        picture = part.copy()
        draw_points(picture, points, radius, PREDICTION_COLOR, ring=True)
        draw_points(picture, heads, radius, TRUTH_COLOR)
        title = [(localizer['type'], TEXT_COLOR)]
        numbers = [f'{len(points)} points, {len(heads)} heads']
        panels.append(add_caption(picture, title, numbers, em=max(16, side * zoom // 22)))
    half = -(-len(panels) // 2) if len(panels) > 3 else len(panels)
    rows = [side_by_side(panels[k : k + half]) for k in range(0, len(panels), half)]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.vstack(rows)


class _Seen(NamedTuple):
    """An image and what the network makes of it."""

    sample: CrowdDataSample
    outputs: Outputs
    stride: int
    img: np.ndarray


class _Keeper:
    """A localizer that keeps what it is shown, and finds nothing."""

    def __init__(self, source: str):
        self.source = source
        self.outputs: Outputs = {}
        self.stride = 0

    def __call__(self, outputs: Outputs, stride: int) -> tuple[Tensor, Tensor]:
        self.outputs, self.stride = outputs, stride
        return torch.zeros(0, 2), torch.zeros(0)


@torch.no_grad()
def _run(model: BaseCounter, dataset: Dataset, indices: Sequence[int]) -> Iterator[_Seen]:
    """The outputs of some images, one after the other."""
    own, keeper = model.localizer, _Keeper(getattr(model.localizer, 'source', 'density'))
    try:
        model.localizer = keeper
        for index in indices:
            data = dataset[index]
            img = data['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]
            (sample,) = model.test_step(pseudo_collate([data]))
            outputs = {key: value for key, value in keeper.outputs.items() if key != 'img_shape'}
            yield _Seen(sample, outputs, keeper.stride, img)
    finally:
        model.localizer = own


def _fullest_square(points: np.ndarray, img_shape: Sequence[int], side: int) -> tuple[int, int]:
    """Upper left corner of the square, within the image, around the point with most neighbours."""
    centre = np.array(img_shape[::-1]) / 2
    if len(points):
        near = cKDTree(points).query_ball_point(points, side / 2, p=np.inf, return_length=True)
        centre = points[np.argmax(near)]
    x, y = np.clip(centre - side / 2, 0, np.maximum(0, np.array(img_shape[::-1]) - side))
    return int(x), int(y)


def _text(localizer: Mapping[str, Any]) -> str:
    """A localizer as one would write it in Python."""
    arguments = ', '.join(f'{key}={value!r}' for key, value in localizer.items() if key != 'type')
    return f'{localizer["type"]}({arguments})'
