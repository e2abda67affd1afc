"""The errors of one test run as one HTML page that needs no network."""

import base64
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from html import escape
from itertools import zip_longest
from pathlib import Path
from string import Template

import cv2
import numpy as np
from plotly.offline import get_plotlyjs

from mmcrowd.evaluation.functional.counting import COUNT_CLASSES, count_errors
from mmcrowd.evaluation.functional.localization import (
    localization_scores,
    match_heads,
    match_points,
    match_points_at_radii,
)
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.fileio.images import load_image
from mmcrowd.ops.neighbours import nearest_neighbour_distances
from mmcrowd.visualization.drawing import point_radius

from .error_graphs import (
    Source,
    count_scatter,
    error_bars,
    radius_curves,
    recall_bars,
    relative_boxes,
    to_html,
)

# How the page writes the radii of HEAD_RADII.
SIGMAS = {
    'sigma_s': 'small radius σ_s of each head',
    'sigma_l': 'large radius σ_l of each head',
}

# Longest side of a picture, and of the frame that its marks are drawn in.
_SIDE = 900

# Radii of the curves. Few, because every one of them is a matching of all images.
_RADII = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)

# Classes of the distance to the nearest neighbour and of the radius of a head.
_PIXEL_STEPS = (4, 8, 16, 32, 64)
_PIXEL_NAMES = ('< 4', '4–8', '8–16', '16–32', '32–64', '≥ 64')

# The levels A0 to A5 of the area of a head (Wang et al., NWPU-Crowd, TPAMI 2020).
_LEVEL_NAMES = ('< 10', '10–10²', '10²–10³', '10³–10⁴', '10⁴–10⁵', '≥ 10⁵')

# An attribute with more values than this, or than half of the images, describes no groups.
_MOST_GROUPS = 30

# Kinds of marks: name, colour, shape in units of a dot's radius. Colours that stay apart for
# colour-blind readers, after Okabe and Ito (2008), and different shapes besides.
_MARKS = {
    'hit': ('found', '#56b4e9', '<circle r="1.5"/>'),
    'miss': ('missed', '#f0e442', '<path d="M0,-2L1.9,1.4H-1.9Z"/>'),
    'false': ('false alarm', '#ff6a13', '<path d="M-1.7,-1.7L1.7,1.7M-1.7,1.7L1.7,-1.7"/>'),
    'truth': ('true point', '#56b4e9', '<circle r="1.5"/>'),
    'prediction': ('predicted point', '#ff6a13', '<path d="M0,-1.8L1.8,0L0,1.8L-1.8,0Z"/>'),
}


def build_error_page(
    results: Sequence[ImageResult],
    radius: float | str = 8.0,
    worst: int = 24,
    image_root: str | Path | None = None,
    title: str = 'Error analysis',
) -> str:
    """Build the page that shows where a model errs.

    It has the errors over all images, predicted against true counts, errors by level of the true
    count and by attribute, and a table of all images. Where there are true and predicted points it
    also has precision, recall and F1 by radius, recall by size of the head and by distance to the
    nearest neighbour, and, drawn on the worst images, who was found, missed or invented.

    What is shown of the worst images is taken in turns from the orders by absolute error, by
    relative error and by F1. Images without truth are in the table and in no error; images with
    nobody in them have no relative error.

    A predicted point counts as right by a matching of largest size, see
    :func:`~mmcrowd.evaluation.functional.localization.match_points`. Which one of several heads
    in reach of one predicted point is the missed one, is then left to the matching.

    Args:
        results: One per image, at least one.
        radius: Farthest distance in pixels of a predicted point from its true point; or
            ``'sigma_s'`` or ``'sigma_l'`` for the small or large radius of each head, which needs
            ``gt_sigmas`` or ``gt_boxes``. Defaults to 8.
        worst: Number of images to show. Defaults to 24.
        image_root: Folder with the image files, or with the folders that they lie in. Defaults to
            None: they lie at their ``img_path``.
            An image whose file cannot be read is shown as points on a grey ground.
        title: Heading of the page.

    Returns:
        The HTML document. Nothing in it is loaded from elsewhere; about 5 MB are the library that
        draws the graphs, and each shown image adds 0.1 to 0.3 MB.

    Raises:
        ValueError: No image, a count or point that is not finite, or a radius that is no positive
            number, no name of one, or a name where an image lacks the sizes of its heads.
            The image is named.
    """
    _validate(results, radius, worst)
    images = [_Image(number, result, radius) for number, result in enumerate(results)]
    shown = _choose_worst(images, worst)
    cases, no_picture = _cases(shown, image_root)
    notes = _notes(images, no_picture, len(shown))
    template = Template(Path(__file__).with_suffix('.html').read_text(encoding='utf-8'))
    return template.substitute(
        title=escape(title),
        plotly=get_plotlyjs(),
        markers='\n'.join(_marker(kind) for kind in _MARKS),
        subtitle=_subtitle(images, radius),
        notes='\n'.join(f'<p class="note">{note}</p>' for note in notes),
        numbers='\n'.join(
            f'<div><dt>{name}</dt><dd>{value}</dd></div>'
            for name, value in _numbers(images).items()
        ),
        graphs=_graphs(images, radius),
        gallery=_gallery(cases, shown, len(images)),
        headings=''.join(
            f'<th scope="col" data-kind="{kind}" data-first="{first}" aria-sort="{order}">'
            f'<button type="button">{name}</button></th>'
            for name, kind, first, order in _COLUMNS
        ),
        rows='\n'.join(_row(image, image in shown) for image in _by_error(images)),
    )


class _Image:
    """A result, its errors, and which of its points match."""

    def __init__(self, number: int, result: ImageResult, radius: float | str):
        self.number = number
        self.result = result
        self.error = self.absolute = self.relative = None
        if result.gt_count is not None:
            self.error = result.pred_count - result.gt_count
            self.absolute = abs(self.error)
            if result.gt_count > 0:
                self.relative = self.error / result.gt_count
        self.located = result.gt_points is not None and result.pred_points is not None
        if self.located:
            points = result.pred_points, result.gt_points
            if radius in SIGMAS:
                ((pred, gt),) = match_heads(*points, _sigmas(result), [radius])
            else:
                pred, gt = match_points(*points, radius)
            self.right = np.isin(np.arange(len(result.pred_points)), pred)
            self.found = np.isin(np.arange(len(result.gt_points)), gt)

    @property
    def id(self) -> str:
        return escape(self.result.img_id)

    @property
    def matches(self) -> tuple[int, int, int]:
        """TP, FP and FN."""
        return int(self.found.sum()), int((~self.right).sum()), int((~self.found).sum())

    @property
    def f1(self) -> float | None:
        """None also where there is nobody and nobody was predicted."""
        if not self.located or sum(self.matches) == 0:
            return None
        return localization_scores(*self.matches)['F1']

    @cached_property
    def spacing(self) -> np.ndarray:
        """``(m,)`` distance in pixels of each true point to its nearest neighbour, or inf."""
        return nearest_neighbour_distances(self.result.gt_points)

    @property
    def source(self) -> Source:
        counts = self.result.gt_count, self.result.pred_count
        return self.number, self.id, *map(_number, counts)


def _validate(results: Sequence[ImageResult], radius: float | str, worst: int) -> None:
    if len(results) == 0:
        raise ValueError('results holds no image, expected at least one')
    if worst < 0:
        raise ValueError(f'worst is {worst}, expected a number of images >= 0')
    by_head = isinstance(radius, str)
    if (radius not in SIGMAS) if by_head else not (math.isfinite(radius) and radius > 0):
        raise ValueError(f'radius is {radius!r}, expected pixels > 0 or one of {", ".join(SIGMAS)}')
    for result in results:
        where = f'image {result.img_id!r}'
        if not math.isfinite(result.pred_count):
            raise ValueError(f'{where}: pred_count is {result.pred_count}, expected a number')
        for name in ('pred_points', 'gt_points'):
            points = getattr(result, name)
            if points is not None and not np.isfinite(points).all():
                raise ValueError(f'{where}: {name} has a value that is not finite')
        levels = result.head_levels()
        if levels is not None and not np.isin(levels, range(len(_LEVEL_NAMES))).all():
            raise ValueError(
                f'{where}: gt_levels are {np.unique(levels).tolist()}, expected 0 to 5'
            )


def _sigmas(result: ImageResult) -> np.ndarray:
    """``(m, 2)`` small and large radius of the heads."""
    sigmas = result.head_sigmas()
    if sigmas is None:
        raise ValueError(
            f'image {result.img_id!r} has neither gt_sigmas nor gt_boxes; give the radius in pixels'
        )
    return sigmas


def _choose_worst(images: Sequence[_Image], number: int) -> list[_Image]:
    """Images with errors, taken in turns from the worst of each order; each image once."""
    orders = (
        _by_error(images),
        sorted((i for i in images if i.relative is not None), key=lambda i: -abs(i.relative)),
        sorted((i for i in images if i.f1 is not None), key=lambda i: i.f1),
    )
    turns = (image for turn in zip_longest(*orders) for image in turn)
    chosen = {image.number: image for image in turns if image and image.error is not None}
    return _by_error(list(chosen.values())[:number])


def _by_error(images: Iterable[_Image]) -> list[_Image]:
    """The largest error first, images without truth last."""
    return sorted(images, key=lambda i: -1 if i.absolute is None else i.absolute, reverse=True)


# --- Text


def _subtitle(images: Sequence[_Image], radius: float | str) -> str:
    text = f'{len(images)} image{"s" * (len(images) != 1)}'
    if any(image.located for image in images):
        text += f' · a point is right within the {_radius_name(radius)}'
    return text


def _radius_name(radius: float | str) -> str:
    return SIGMAS[radius] if radius in SIGMAS else f'radius of {radius:g} px'


def _notes(images: Sequence[_Image], no_picture: int, num_shown: int) -> list[str]:
    notes = []
    no_truth = sum(image.error is None for image in images)
    if no_truth:
        notes.append(f'{no_truth} of {len(images)} images have no truth and are in no error.')
    located = sum(image.located for image in images)
    if 0 < located < len(images):
        notes.append(
            f'Precision, recall and F1 are over the {located} images with true and predicted '
            'points.'
        )
    if no_picture:
        notes.append(
            f'{no_picture} of the {num_shown} worst images could not be read; their points are '
            'shown without the picture.'
        )
    return notes


def _numbers(images: Sequence[_Image]) -> dict[str, str]:
    """Names and values at the head of the page."""
    judged = [image for image in images if image.error is not None]
    pred, gt = _counts(judged or images)
    numbers = {'images': f'{len(images):,}', 'predicted': f'{_rounded(pred.sum(), 0):,.0f}'}
    if judged:
        errors = count_errors(pred, gt)
        numbers |= {
            'true': f'{gt.sum():,.0f}',
            'MAE': f'{errors["MAE"]:.2f}',
            'RMSE': f'{errors["RMSE"]:.2f}',
            'NAE': _fixed(errors['NAE'], 3),
            'bias': _signed((pred - gt).mean(), 2),
        }
    if located := [image.matches for image in images if image.located]:
        scores = localization_scores(*np.sum(located, axis=0).tolist())
        names = dict(P='precision', R='recall', F1='F1')
        numbers |= {name: _fixed(scores[key], 4) for key, name in names.items()}
    return numbers


def _counts(images: Sequence[_Image]) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true counts, nan without truth."""
    counts = [(image.result.pred_count, image.result.gt_count) for image in images]
    return tuple(np.array(counts, np.float64).T)


def _fixed(value: float | None, digits: int) -> str:
    return '–' if value is None or not math.isfinite(value) else f'{value:.{digits}f}'


def _signed(value: float, digits: int) -> str:
    return f'{_rounded(value, digits):+,.{digits}f}'.replace('-', '−')


def _number(value: float) -> str:
    """A count, without decimals where it is whole."""
    digits = int(value != int(value))
    return f'{_rounded(value, digits):,.{digits}f}'


def _rounded(value: float, digits: int) -> float:
    """The value, and 0 without a sign where nothing else is left of it."""
    return round(value, digits) + 0.0


# --- Graphs


def _graphs(images: Sequence[_Image], radius: float | str) -> str:
    """The sections with graphs."""
    sections = {}
    if judged := [image for image in images if image.error is not None]:
        sections['Counting'] = _count_panels(judged)
    located = [image for image in images if image.located]
    if any(len(image.result.gt_points) for image in located):
        sections['Localization'] = _localization_panels(located, radius)
    return '\n'.join(
        f'<section><h2>{name}</h2><div class="panels">{"".join(panels)}</div></section>'
        for name, panels in sections.items()
    )


def _panel(title: str, text: str, figure) -> str:
    return f'<div class="panel"><h3>{title}</h3><p>{text}</p>{to_html(figure)}</div>'


def _count_panels(images: Sequence[_Image]) -> list[str]:
    pred, gt = _counts(images)
    classes = _count_classes(gt)
    groups = {name: np.flatnonzero(_within(gt, bounds)) for name, bounds in classes.items()}
    errors = [count_errors(pred[members], gt[members]) for members in groups.values()]
    numbers = [len(members) for members in groups.values()]
    panels = [
        _panel(
            'Predicted against true count',
            'On the line both are equal. A click on an image leads to its row.',
            count_scatter(pred, gt, [image.source for image in images]),
        ),
        _panel(
            'MAE by true count',
            'Mean absolute error in persons, and the number of images.',
            error_bars(list(groups), errors, numbers, 'true count'),
        ),
    ]
    if (gt > 0).any():
        percent = 100 * np.array([image.relative or 0 for image in images])
        crowded = {name: members for name, members in groups.items() if classes[name] != (0, 0)}
        figure, outside = relative_boxes(percent, crowded, [image.source for image in images])
        text = 'Above zero the model counts too many. Boxes hold the middle half of the images.'
        if outside:
            text += f' {outside} images lie above the range shown; double-click to see them.'
        panels.append(_panel('Relative error by true count', text, figure))
    return panels + _attribute_panels(images, groups.values())


def _count_classes(gt: np.ndarray) -> dict[str, tuple[int, int | None]]:
    """The scene levels of NWPU-Crowd that occur; quarters of the images if most are in one."""
    levels = {
        _range_name(*bounds): bounds
        for bounds in COUNT_CLASSES['nwpu'].values()
        if _within(gt, bounds).any()
    }
    positive = np.sort(gt[gt > 0]).astype(int)
    fullest = max(_within(gt, bounds).sum() for bounds in levels.values())
    if fullest < 0.8 * len(gt) or len(np.unique(positive)) < 8:
        return levels
    classes = {'0': (0, 0)} if (gt == 0).any() else {}
    starts = np.unique(positive[np.arange(4) * len(positive) // 4])
    for members in np.split(positive, np.searchsorted(positive, starts[1:])):
        bounds = int(members[0]), int(members[-1])
        classes[_range_name(*bounds)] = bounds
    return classes


def _range_name(low: int, high: int | None) -> str:
    if high is None:
        return f'> {low - 1}'
    return str(low) if low == high else f'{low}–{high}'


def _within(gt: np.ndarray, bounds: tuple[int, int | None]) -> np.ndarray:
    low, high = bounds
    return (gt >= low) & (gt <= (np.inf if high is None else high))


def _attribute_panels(images: Sequence[_Image], known: Iterable[np.ndarray]) -> list[str]:
    """MAE by the values of each attribute that tells groups apart, and others than the known."""
    pred, gt = _counts(images)
    known = {tuple(members) for members in known}
    panels = []
    for key in dict.fromkeys(key for image in images for key in image.result.attributes):
        groups = {}
        for index, image in enumerate(images):
            value = image.result.attributes.get(key)
            if isinstance(value, (str, int, float)):
                groups.setdefault(value, []).append(index)
        few = 2 <= len(groups) <= min(_MOST_GROUPS, len(images) / 2)
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
        text = 'Mean absolute error in persons, and the number of images.'
        panels.append(_panel(f'MAE by {escape(str(key))}', text, figure))
    return panels


def _localization_panels(images: Sequence[_Image], radius: float | str) -> list[str]:
    spacing = np.concatenate([image.spacing for image in images])
    in_pixels = None if isinstance(radius, str) else radius
    radii = _radii(spacing, in_pixels)
    at = f'Share of the true points found within the {_radius_name(radius)}'
    panels = [
        _panel(
            'Precision, recall and F1 by radius',
            'Over the points of all images.',
            radius_curves(radii, _scores_at(images, radii), in_pixels),
        )
    ]
    for axis, names, classes_of in (
        ('area of the head, px²', _LEVEL_NAMES, ImageResult.head_levels),
        ('large radius of the head, px', _PIXEL_NAMES, _radius_classes),
    ):
        sized = [(image, classes_of(image.result)) for image in images]
        sized = [(image.found, classes) for image, classes in sized if classes is not None]
        if sum(len(found) for found, _ in sized):
            found, classes = map(np.concatenate, zip(*sized, strict=True))
            figure = recall_bars(classes, found, names, axis)
            panels.append(_panel('Recall by size of the head', f'{at}.', figure))
            break
    found = np.concatenate([image.found for image in images])
    axis = 'distance to the nearest true point, px'
    panels.append(
        _panel(
            'Recall by distance to the nearest neighbour',
            f'{at}; short distances are the dense parts of the crowds.',
            recall_bars(_pixel_classes(spacing), found, _PIXEL_NAMES, axis),
        )
    )
    return panels


def _radii(spacing: np.ndarray, radius: float | None) -> list[int]:
    """Radii of the curves, up to twice the usual spacing: beyond it anybody is in reach."""
    spacing = spacing[np.isfinite(spacing)]
    usual = np.median(spacing) if len(spacing) else np.inf
    return [r for r in _RADII if r <= max(16, 2 * (radius or 0), 2 * usual)]


def _scores_at(images: Sequence[_Image], radii: Sequence[int]) -> list[dict[str, float]]:
    """Scores of the points of all images at each radius."""
    points = [(image.result.pred_points, image.result.gt_points) for image in images]
    matchings = [match_points_at_radii(pred, gt, radii) for pred, gt in points]
    found = np.array([[len(matched) for _, matched in of_image] for of_image in matchings])
    num_pred, num_gt = (sum(map(len, side)) for side in zip(*points, strict=True))
    return [localization_scores(tp, num_pred - tp, num_gt - tp) for tp in found.sum(0).tolist()]


def _radius_classes(result: ImageResult) -> np.ndarray | None:
    sigmas = result.head_sigmas()
    return None if sigmas is None else _pixel_classes(sigmas[:, 1])


def _pixel_classes(values: np.ndarray) -> np.ndarray:
    return np.searchsorted(_PIXEL_STEPS, values, side='right')


# --- Worst images


def _gallery(cases: Sequence[str], shown: Sequence[_Image], num_images: int) -> str:
    if not cases:
        return '<p>None is shown.</p>'
    orders = dict(absolute='absolute error', relative='relative error')
    if any(image.f1 is not None for image in shown):
        orders['f1'] = 'F1'
    options = ''.join(f'<option value="{key}">{name}</option>' for key, name in orders.items())
    kinds = {kind for image in shown for kind, points in _points(image).items() if len(points)}
    keys = ''.join(
        f'<label><input type="checkbox" value="{kind}" checked>'
        f'<svg viewBox="-4 -4 8 8" aria-hidden="true">{_shape(kind)}</svg>{_MARKS[kind][0]}</label>'
        for kind in _MARKS
        if kind in kinds
    )
    return (
        f'<p>{len(shown)} of {num_images} images: in turns the worst by '
        f'{", ".join(orders.values())}. A kind of mark that is unticked is hidden.</p>\n'
        f'<div class="controls"><label>Order <select id="order">{options}</select></label>'
        f'{keys}</div>\n<div class="gallery" id="gallery">{"".join(cases)}</div>'
    )


def _cases(shown: Sequence[_Image], image_root: str | Path | None) -> tuple[list[str], int]:
    """The images as HTML, and how many of them are without picture."""
    cases, no_picture = [], 0
    for image in shown:
        picture, problem = _read(image.result, image_root)
        no_picture += picture is None
        cases.append(_case(image, picture, problem))
    return cases, no_picture


def _read(
    result: ImageResult, image_root: str | Path | None
) -> tuple[np.ndarray | None, str | None]:
    """The image, or what keeps it from being read."""
    path = result.img_path
    if image_root is not None:
        path = _find(Path(path or f'{result.img_id}.jpg'), Path(image_root))
    if path is None:
        return None, 'the result names no image file'
    try:
        return load_image(str(path)), None
    except FileNotFoundError:
        return None, f'no image file {path}'
    except ValueError as error:
        return None, str(error)


def _find(path: Path, root: Path) -> Path:
    """The file below ``root`` whose path ends as this one, in as many folders as can be."""
    parts = path.parts[bool(path.anchor) :]
    places = [root.joinpath(*parts[start:]) for start in range(len(parts))]
    return next((place for place in places if place.is_file()), places[-1])


def _case(image: _Image, picture: np.ndarray | None, problem: str | None) -> str:
    result = image.result
    size = _size(result, picture)
    scale = _SIDE / max(size)
    points = {kind: (at + 0.5) * scale for kind, at in _points(image).items()}  # edges at 0
    # Larger than on a picture of its own, because the gallery shows it at half that size.
    dot = 1.5 * point_radius(np.concatenate([*points.values(), np.zeros((0, 2))]), _SIDE)
    marks = ''.join(_marks(kind, at) for kind, at in points.items() if len(at))
    counts = (
        f'true {_number(result.gt_count)} · predicted {_number(result.pred_count)} · '
        f'error {_signed(image.error, 1)}'
    )
    if image.relative is not None:
        counts += f' ({_signed(100 * image.relative, 0)} %)'
    lines = [counts]
    if image.located:
        tp, fp, fn = image.matches
        scores = f'{tp:,} found · {fn:,} missed · {fp:,} false alarms'
        lines.append(scores if image.f1 is None else f'{scores} · F1 {image.f1:.3f}')
    if problem:
        lines.append(f'No picture: {escape(problem)}')
    ground = ''
    if picture is not None:
        ground = f'<img src="{_data_uri(picture)}" alt="{image.id}: {counts}">'
    width, height = (f'{side * scale:.1f}' for side in size)
    return (
        f'<figure class="case" id="case-{image.number}" data-absolute="{image.absolute}" '
        f'data-relative="{_attribute(image.relative and abs(image.relative))}" '
        f'data-f1="{_attribute(image.f1)}">'
        f'<div class="view" style="--aspect:{width}/{height};--dot:{dot:.2f}">{ground}'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f'{marks}</svg></div>'
        f'<figcaption><div><strong>{image.id}</strong>'
        '<button type="button" aria-pressed="false">Enlarge</button></div>'
        f'{"".join(f"<span>{line}</span>" for line in lines)}</figcaption></figure>\n'
    )


def _points(image: _Image) -> dict[str, np.ndarray]:
    """Points by kind of mark, those on top last."""
    result = image.result
    if image.located:
        return {
            'hit': result.gt_points[image.found],
            'false': result.pred_points[~image.right],
            'miss': result.gt_points[~image.found],
        }
    points = dict(truth=result.gt_points, prediction=result.pred_points)
    return {kind: at for kind, at in points.items() if at is not None}


def _size(result: ImageResult, picture: np.ndarray | None) -> tuple[float, float]:
    """Width and height; where nothing tells them, so large that all points are inside."""
    if result.ori_shape is not None:
        return result.ori_shape[::-1]
    if picture is not None:
        return picture.shape[1::-1]
    points = [p for p in (result.gt_points, result.pred_points) if p is not None]
    return tuple((np.concatenate([[(639, 479)], *points]).max(axis=0) + 1).tolist())


def _marks(kind: str, points: np.ndarray) -> str:
    """Marks at the corners of a line that is not drawn: ten bytes a point, one element in all."""
    corners = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points.tolist())
    ends = ''.join(f' marker-{at}="url(#{kind})"' for at in ('start', 'mid', 'end'))
    return f'<polyline class="marks {kind}" points="{corners}"{ends}/>'


def _marker(kind: str) -> str:
    """The mark of a kind; its unit is the width of the line that bears it."""
    return (
        f'<marker id="{kind}" viewBox="-4 -4 8 8" markerWidth="8" markerHeight="8">'
        f'{_shape(kind)}</marker>'
    )


def _shape(kind: str) -> str:
    """The shape in its colour, on a wider dark one that sets it off against any picture."""
    _, color, shape = _MARKS[kind]
    return ''.join(
        f'<g fill="none" stroke="{stroke}" stroke-width="{width}">{shape}</g>'
        for stroke, width in (('#14141a', 1.4), (color, 0.8))
    )


def _data_uri(picture: np.ndarray) -> str:
    """The picture, reduced where it is larger than shown, as a JPEG inside the page."""
    scale = _SIDE / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'


# --- Table

# Name, kind, order at the first click, and order at the start.
_COLUMNS = (
    ('Image', 'text', 'ascending', 'none'),
    ('True', 'number', 'descending', 'none'),
    ('Predicted', 'number', 'descending', 'none'),
    ('Error', 'number', 'descending', 'none'),
    ('|Error|', 'number', 'descending', 'descending'),
    ('Relative', 'number', 'descending', 'none'),
    ('TP', 'number', 'descending', 'none'),
    ('FP', 'number', 'descending', 'none'),
    ('FN', 'number', 'descending', 'none'),
    ('F1', 'number', 'ascending', 'none'),
)


def _row(image: _Image, has_case: bool) -> str:
    result = image.result
    matches = image.matches if image.located else (None,) * 3
    name = f'<a href="#case-{image.number}">{image.id}</a>' if has_case else image.id
    cells = [
        (image.id, name),
        (result.gt_count, _shown(result.gt_count, _number)),
        (result.pred_count, _number(result.pred_count)),
        (image.error, _shown(image.error, lambda value: _signed(value, 1))),
        (image.absolute, _shown(image.absolute, _number)),
        (image.relative, _shown(image.relative, lambda v: f'{_signed(100 * v, 1)} %')),
        *((value, _shown(value, _number)) for value in matches),
        (image.f1, _fixed(image.f1, 3)),
    ]
    inner = ''.join(f'<td data-value="{_attribute(value)}">{text}</td>' for value, text in cells)
    return f'<tr id="row-{image.number}">{inner}</tr>'


def _shown(value, form) -> str:
    return '–' if value is None else form(value)


def _attribute(value) -> str:
    return '' if value is None else str(value)
