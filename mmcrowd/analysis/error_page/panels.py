"""The panels with graphs: which there are, what is grouped in them and what they say."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from plotly.graph_objects import Figure

from mmcrowd.evaluation.functional.counting import (
    COUNT_CLASSES,
    class_members,
    class_name,
    count_errors,
)
from mmcrowd.evaluation.image_errors import ImageErrors, count_arrays
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.evaluation.metrics.localization_metric import LocalizationMetric
from mmcrowd.fileio.files import printable
from mmcrowd.ops.heads import HEAD_LEVEL_AREAS, HEAD_RADII

from . import text
from .graphs import (
    Source,
    count_scatter,
    error_bars,
    radius_curves,
    recall_bars,
    relative_boxes,
)

# Radii of the curves. Few, because every one of them is a matching of all images.
CURVE_RADII = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)

# Borders of the classes of the distance to the nearest neighbour and of the radius of a head.
PIXEL_STEPS = (4, 8, 16, 32, 64)

# An attribute with more values than this, or than half of the images, describes no groups.
MOST_GROUPS = 30

RADIUS_NAMES = dict(
    zip(HEAD_RADII, ('small radius σ_s of each head', 'large radius σ_l of each head'), strict=True)
)


class Panel(NamedTuple):
    """One graph with its heading and an explanation."""

    title: str
    text: str
    figure: Figure


def radius_name(radius: float | str) -> str:
    """The radius in words."""
    if radius in RADIUS_NAMES:
        return RADIUS_NAMES[radius]
    return f'radius of {radius:g} px'


def graph_sections(images: Sequence[ImageErrors], radius: float | str) -> dict[str, list[Panel]]:
    """Panels of each section of the page that there is.

    Args:
        images: In the order of their numbers on the page.
        radius: The radius that the images were matched at.
    """
    sections = {}
    sources = [_source(number, image) for number, image in enumerate(images)]
    if judged := [k for k, image in enumerate(images) if image.error is not None]:
        sections['Counting'] = count_panels(
            [images[k] for k in judged], [sources[k] for k in judged]
        )
    located = [image for image in images if image.located]
    if any(len(image.result.gt_points) for image in located):
        sections['Localization'] = localization_panels(located, radius)
    return sections


def count_panels(images: Sequence[ImageErrors], sources: Sequence[Source]) -> list[Panel]:
    """Graphs of the errors of counts.

    Args:
        images: Those with a true count.
        sources: What the graphs know of each.
    """
    pred, gt = count_arrays(images)
    classes = count_classes(gt)
    groups = {name: np.flatnonzero(class_members(gt, *ends)) for name, ends in classes.items()}
    errors = [count_errors(pred[members], gt[members]) for members in groups.values()]
    numbers = [len(members) for members in groups.values()]
    panels = [
        Panel(
            'Predicted against true count',
            'On the line both are equal. A click on an image leads to its row.',
            count_scatter(pred, gt, sources),
        ),
        Panel(
            'MAE by true count',
            'Mean absolute error in persons, and the number of images.',
            error_bars(list(groups), errors, numbers, 'true count'),
        ),
    ]
    if (gt > 0).any():
        percent = 100 * np.array([image.relative or 0 for image in images])
        crowded = {name: members for name, members in groups.items() if classes[name] != (0, 0)}
        figure, outside = relative_boxes(percent, crowded, sources)
        words = 'Above zero the model counts too many. Boxes hold the middle half of the images.'
        if outside:
            words += f' {outside} images lie above the range shown; double-click to see them.'
        panels.append(Panel('Relative error by true count', words, figure))
    return panels + attribute_panels(images, groups.values())


def count_classes(gt: np.ndarray) -> dict[str, tuple[int, int | None]]:
    """Classes of the true count that hold each image once.

    Args:
        gt: ``(n,)`` true counts.

    Returns:
        Name to lowest and highest count: the scene levels of NWPU-Crowd that occur; or, where one
        of them holds four fifths of the images, nobody and quarters of the others.
    """
    levels = {
        class_name(*ends): ends
        for ends in COUNT_CLASSES['nwpu'].values()
        if class_members(gt, *ends).any()
    }
    positive = np.sort(gt[gt > 0]).astype(int)
    fullest = max(class_members(gt, *ends).sum() for ends in levels.values())
    if fullest < 0.8 * len(gt) or len(np.unique(positive)) < 8:
        return levels
    classes = {'0': (0, 0)} if (gt == 0).any() else {}
    starts = np.unique(positive[np.arange(4) * len(positive) // 4])
    for members in np.split(positive, np.searchsorted(positive, starts[1:])):
        ends = int(members[0]), int(members[-1])
        classes[class_name(*ends)] = ends
    return classes


def attribute_panels(images: Sequence[ImageErrors], known: Iterable[np.ndarray]) -> list[Panel]:
    """MAE by the values of each attribute that tells groups apart.

    Args:
        images: Those with a true count.
        known: Indices of the images in each of other groups; an attribute that only repeats these
            is left out.
    """
    pred, gt = count_arrays(images)
    known = {tuple(members) for members in known}
    panels = []
    for key in dict.fromkeys(key for image in images for key in image.result.attributes):
        groups = {}
        for index, image in enumerate(images):
            value = image.result.attributes.get(key)
            if isinstance(value, (str, int, float)):
                groups.setdefault(value, []).append(index)
        few = 2 <= len(groups) <= min(MOST_GROUPS, len(images) / 2)
        if not few or {tuple(members) for members in groups.values()} == known:
            continue
        errors = {value: count_errors(pred[of], gt[of]) for value, of in groups.items()}
        # Codes have an order of their own, words do not.
        words = any(isinstance(value, str) for value in groups)
        order = sorted(groups, key=lambda v: -errors[v]['MAE'] if words else v)
        figure = error_bars(
            [escape(str(value)) for value in order],
            [errors[value] for value in order],
            [len(groups[value]) for value in order],
            escape(str(key)),
        )
        explanation = 'Mean absolute error in persons, and the number of images.'
        panels.append(Panel(f'MAE by {key}', explanation, figure))
    return panels


def localization_panels(images: Sequence[ImageErrors], radius: float | str) -> list[Panel]:
    """Graphs of the points found.

    Args:
        images: Those with true and predicted points.
        radius: The radius that they were matched at.
    """
    spacing = np.concatenate([image.spacing for image in images])
    in_pixels = None if isinstance(radius, str) else radius
    radii = curve_radii(spacing, in_pixels)
    at = f'Share of the true points found within the {radius_name(radius)}'
    panels = [
        Panel(
            'Precision, recall and F1 by radius',
            'Over the points of all images.',
            radius_curves(radii, scores_at_radii(images, radii), in_pixels),
        )
    ]
    for axis, names, classes_of in (
        ('area of the head, px²', _area_names(), ImageResult.head_levels),
        ('large radius of the head, px', interval_names(PIXEL_STEPS), _radius_classes),
    ):
        sized = [(image, classes_of(image.result)) for image in images]
        sized = [(image.found, classes) for image, classes in sized if classes is not None]
        if sum(len(found) for found, _ in sized):
            found, classes = map(np.concatenate, zip(*sized, strict=True))
            figure = recall_bars(classes, found, names, axis)
            panels.append(Panel('Recall by size of the head', f'{at}.', figure))
            break
    found = np.concatenate([image.found for image in images])
    axis = 'distance to the nearest true point, px'
    panels.append(
        Panel(
            'Recall by distance to the nearest neighbour',
            f'{at}; short distances are the dense parts of the crowds.',
            recall_bars(pixel_classes(spacing), found, interval_names(PIXEL_STEPS), axis),
        )
    )
    return panels


def curve_radii(spacing: np.ndarray, radius: float | None) -> list[int]:
    """Radii of the curves, up to twice the usual spacing: beyond it anybody is in reach.

    Args:
        spacing: ``(m,)`` distance of each true point to its nearest neighbour.
        radius: Radius in pixels that the curves must reach beyond, or None.
    """
    spacing = spacing[np.isfinite(spacing)]
    usual = np.median(spacing) if len(spacing) else np.inf
    return [r for r in CURVE_RADII if r <= max(16, 2 * (radius or 0), 2 * usual)]


def scores_at_radii(images: Sequence[ImageErrors], radii: Sequence[int]) -> list[dict[str, float]]:
    """``P``, ``R`` and ``F1`` of the points of all images at each radius in pixels."""
    pred, gt = zip(*((i.result.pred_points, i.result.gt_points) for i in images), strict=True)
    scores = LocalizationMetric.calculate(pred, gt, radii)
    return [{key: scores[f'{key}@{radius:g}'] for key in ('P', 'R', 'F1')} for radius in radii]


def pixel_classes(values: np.ndarray) -> np.ndarray:
    """Class of each value by :data:`PIXEL_STEPS`."""
    return np.searchsorted(PIXEL_STEPS, values, side='right')


def interval_names(borders: Sequence) -> list[str]:
    """Names of the classes below, between and above borders.

    Examples:
        >>> interval_names([4, 8])
        ['< 4', '4–8', '≥ 8']
    """
    between = [f'{low}–{high}' for low, high in pairwise(borders)]
    return [f'< {borders[0]}', *between, f'≥ {borders[-1]}']


def _area_names() -> list[str]:
    powers = (round(np.log10(area)) for area in HEAD_LEVEL_AREAS)
    return interval_names(['10' if power == 1 else f'10{"⁰¹²³⁴⁵"[power]}' for power in powers])


def _radius_classes(result: ImageResult) -> np.ndarray | None:
    sigmas = result.head_sigmas()
    return None if sigmas is None else pixel_classes(sigmas[:, 1])


def _source(number: int, image: ImageErrors) -> Source:
    result = image.result
    counts = result.gt_count, result.pred_count
    return number, escape(printable(result.img_id)), *map(text.number, counts)
