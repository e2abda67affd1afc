"""The worst images as pictures with marks."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from mmcrowd.evaluation.image_errors import ImageErrors
from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.fileio.images import load_image
from mmcrowd.visualization.drawing import point_radius
from mmcrowd.visualization.palette import BRIGHT_ORANGE, SKY_BLUE, YELLOW

from .text import number, signed

# Longest side of a picture, and of the frame that its marks are drawn in.
SIDE = 900


@dataclass(frozen=True)
class Mark:
    """How points of one kind are marked.

    Attributes:
        name: What they are.
        color: Apart from the others for colour-blind readers; the shapes differ besides.
        shape: SVG in units of a dot's radius.
    """

    name: str
    color: str
    shape: Markup


MARKS = {
    'hit': Mark('found', SKY_BLUE, Markup('<circle r="1.5"/>')),
    'miss': Mark('missed', YELLOW, Markup('<path d="M0,-2L1.9,1.4H-1.9Z"/>')),
    'false': Mark(
        'false alarm', BRIGHT_ORANGE, Markup('<path d="M-1.7,-1.7L1.7,1.7M-1.7,1.7L1.7,-1.7"/>')
    ),
    'truth': Mark('true point', SKY_BLUE, Markup('<circle r="1.5"/>')),
    'prediction': Mark(
        'predicted point', BRIGHT_ORANGE, Markup('<path d="M0,-1.8L1.8,0L0,1.8L-1.8,0Z"/>')
    ),
}


@dataclass(frozen=True)
class Case:
    """One image of the gallery, ready to be written.

    Attributes:
        image: Its errors.
        number: Its number on the page.
        picture: The image as a ``data:`` address, or None.
        width: Width of the frame of the marks.
        height: Height of the frame of the marks.
        dot: Radius of a mark in that frame.
        marks: Positions ``(m, 2)`` in that frame by kind, those on top last.
        counts: The counts in words.
        lines: What else is said of it.
    """

    image: ImageErrors
    number: int
    picture: str | None
    width: float
    height: float
    dot: float
    marks: dict[str, np.ndarray]
    counts: str
    lines: list[str]

    @property
    def relative(self) -> float | None:
        """Absolute value of the relative error."""
        return None if self.image.relative is None else abs(self.image.relative)


def make_case(image: ImageErrors, number: int, image_root: str | Path | None) -> Case:
    """Read the picture of an image, and place its marks.

    Args:
        image: One with a true count.
        number: Its number on the page.
        image_root: See :func:`~mmcrowd.analysis.error_page.build_error_page`.
    """
    picture, note = _read(image.result, image_root)
    size = _size(image.result, picture)
    scale = SIDE / max(size)
    # The edge of the image, not the centre of its first pixel, is 0 here.
    marks = {kind: (at + 0.5) * scale for kind, at in _points(image).items()}
    every = np.concatenate([*marks.values(), np.zeros((0, 2))])
    return Case(
        image=image,
        number=number,
        picture=None if picture is None else _data_uri(picture),
        width=size[0] * scale,
        height=size[1] * scale,
        # Larger than on a picture of its own, because the gallery shows it at half that size.
        dot=1.5 * point_radius(every, SIDE),
        marks={kind: at for kind, at in marks.items() if len(at)},
        counts=_counts(image),
        lines=_lines(image, note),
    )


def corners(points: np.ndarray) -> str:
    """Positions as the corners of an SVG line, ten bytes each."""
    return ' '.join(f'{x:.1f},{y:.1f}' for x, y in points.tolist())


def orders(cases: Sequence[Case]) -> dict[str, str]:
    """What the images can be ordered by: key to name."""
    keys = dict(absolute='absolute error', relative='relative error')
    if any(case.image.f1 is not None for case in cases):
        keys['f1'] = 'F1'
    return keys


def kinds(cases: Sequence[Case]) -> dict[str, Mark]:
    """Marks of the kinds that occur."""
    return {kind: mark for kind, mark in MARKS.items() if any(kind in c.marks for c in cases)}


def _counts(image: ImageErrors) -> str:
    result = image.result
    counts = (
        f'true {number(result.gt_count)} · predicted {number(result.pred_count)} · '
        f'error {signed(image.error, 1)}'
    )
    if image.relative is not None:
        counts += f' ({signed(100 * image.relative, 0)} %)'
    return counts


def _lines(image: ImageErrors, note: str | None) -> list[str]:
    lines = []
    if image.located:
        tp, fp, fn = image.matches
        scores = f'{tp:,} found · {fn:,} missed · {fp:,} false alarms'
        lines.append(scores if image.f1 is None else f'{scores} · F1 {image.f1:.3f}')
    if note:
        lines.append(note)
    return lines


def _points(image: ImageErrors) -> dict[str, np.ndarray]:
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


def _read(
    result: ImageResult, image_root: str | Path | None
) -> tuple[np.ndarray | None, str | None]:
    """The image, or None, and what is to be said of it."""
    path, note = result.img_path, None
    if image_root is not None:
        path, is_sure = _find(path or f'{result.img_id}.jpg', Path(image_root))
        if not is_sure:
            note = 'Picture found by its name alone'
    if path is None:
        return None, 'No picture: the result names no image file'
    try:
        picture = load_image(str(path))
    except FileNotFoundError:
        return None, f'No picture: no image file {path}'
    except ValueError as error:
        return None, f'No picture: {error}'
    if note and result.ori_shape is not None and picture.shape[:2] != tuple(result.ori_shape):
        return None, f'No picture: {path} has the name alone, and another size'
    return picture, note


def _find(path: str, root: Path) -> tuple[Path, bool]:
    """The file below ``root`` whose path ends as this one, in as many folders as can be.

    The path may be of another system. The other value is False where only the name of the file is
    the same although the path has folders: it may be another image.
    """
    parts = [part for part in re.split(r'[/\\]', path) if part]
    places = [root.joinpath(*parts[start:]) for start in range(len(parts))]
    found = next((place for place in places if place.is_file()), places[-1])
    return found, len(parts) == 1 or found != places[-1]


def _size(result: ImageResult, picture: np.ndarray | None) -> tuple[float, float]:
    """Width and height; where nothing tells them, so large that all points are inside."""
    if result.ori_shape is not None:
        return result.ori_shape[::-1]
    if picture is not None:
        return picture.shape[1::-1]
    points = [p for p in (result.gt_points, result.pred_points) if p is not None]
    return tuple((np.concatenate([[(639, 479)], *points]).max(axis=0) + 1).tolist())


def _data_uri(picture: np.ndarray) -> str:
    """The picture, reduced where it is larger than shown, as a JPEG inside the page."""
    scale = SIDE / max(picture.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
