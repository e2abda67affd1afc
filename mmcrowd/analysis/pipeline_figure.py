"""What the transforms of a pipeline leave of an image, as panels of one picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmcrowd.structures import SampleReader
from mmcrowd.visualization.drawing import add_caption, draw_points, point_radius
from mmcrowd.visualization.palette import BOX_COLOR, GROUND_COLOR, TEXT_COLOR, TRUTH_COLOR

_POINT_COLOR_ON_CELLS = (255, 255, 255)  # RGB

_TITLE_EM = 18
_GAP = 12
_GOLDEN_RATIO = 0.6180339887


def draw_stage(title: str, results: Mapping, side: int = 768) -> np.ndarray:
    """Draw the image at one stage of a pipeline, with all that is known of it.

    Points are dots, boxes rectangles. Once there is a partition, the image is grey and every cell
    of the density map has the colour of its point, strong along the borders between points and
    faint inside them.

    Args:
        title: Name of the stage, written above the image; below it are the size of the image as
            width by height, the number of points, and scale and flip since the image was loaded.
        results: What a transform returned: a dict with ``img`` (BGR uint8 ``(H, W, 3)``), or
            packed by :class:`~mmcrowd.datasets.transforms.PackCrowdInputs`. An ``img`` that is not
            decoded yet is drawn decoded, in its planned size.
        side: Longer side of the drawn image, to which it is reduced or enlarged, in screen pixels.

    Returns:
        RGB uint8 ``(h, w, 3)``.

    Raises:
        ValueError: If the image is of another type or shape.
    """
    stage = Stage.from_results(results)
    img = stage.img
    if img.dtype != np.uint8 or img.shape[2:] != (3,):
        raise ValueError(
            f'{title}: image is {img.dtype} {img.shape}, expected uint8 (H, W, 3), BGR'
        )
    size = img.shape[:2]
    picture = _fit(img, side)
    scale = np.array(picture.shape[1::-1]) / size[::-1]

    def locate(positions: np.ndarray) -> np.ndarray:
        return (positions + 0.5) * scale - 0.5

    color = TRUTH_COLOR
    if stage.cells is not None:
        picture, color = _color_cells(picture, stage.cells, size), _POINT_COLOR_ON_CELLS
    if stage.boxes is not None:
        _draw_boxes(picture, locate(stage.boxes.reshape(-1, 2, 2)).reshape(-1, 4))
    if stage.points is not None:
        points = locate(stage.points)
        draw_points(picture, points, point_radius(points, max(picture.shape)), color)
    return add_caption(picture, [(title, TEXT_COLOR)], [_describe(stage, size)], _TITLE_EM)


@dataclass
class Stage:
    """What is known of an image at one stage of a pipeline, in its frame there.

    Attributes:
        img: BGR ``(H, W, 3)``.
        meta: Meta information of the way from the original frame.
        points: ``(m, 2)`` true points, or None.
        boxes: ``(m, 4)`` boxes of the heads, xyxy, or None.
        cells: ``(h, w)`` index of the nearest point of each cell, -1 for none, or None.
    """

    img: np.ndarray
    meta: Mapping
    points: np.ndarray | None = None
    boxes: np.ndarray | None = None
    cells: np.ndarray | None = None

    @classmethod
    def from_results(cls, results: Mapping) -> 'Stage':
        """Stage of what a transform returned, packed or not yet."""
        if 'data_samples' in results:
            read = SampleReader(results['data_samples'], 'draw_stage')
            return cls(
                img=results['inputs'].numpy().transpose(1, 2, 0),
                meta=read.meta,
                points=read.gt_points,
                boxes=read.gt_boxes,
                cells=read.partition_index,
            )
        return cls(
            img=np.asarray(results['img']),
            meta=results,
            points=results.get('points'),
            boxes=results.get('boxes'),
            cells=results['gt_partition']['index'] if 'gt_partition' in results else None,
        )


def arrange(panels: Sequence[np.ndarray], title: str, details: str, columns: int = 3) -> np.ndarray:
    """Lay panels out in rows of at most ``columns``, evenly filled, under a common title.

    Args:
        panels: RGB uint8 ``(h, w, 3)``, at least one.
        title: Text above all.
        details: Smaller text below the title.
        columns: Defaults to 3.

    Returns:
        RGB uint8 ``(H, W, 3)``.
    """
    rows = math.ceil(len(panels) / columns)
    columns = math.ceil(len(panels) / rows)
    # The captions of a row are in line, so panels are aligned at the top.
    heights = [max(p.shape[0] for p in panels[i * columns :][:columns]) for i in range(rows)]
    widths = [max(p.shape[1] for p in panels[i::columns]) for i in range(columns)]
    tops, lefts = (
        np.cumsum([0, *lengths]) + _GAP * np.arange(len(lengths) + 1)
        for lengths in (heights, widths)
    )
    canvas = np.full((tops[-1], lefts[-1] - _GAP, 3), GROUND_COLOR, np.uint8)
    for i, panel in enumerate(panels):
        top, left = tops[i // columns], lefts[i % columns]
        canvas[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
    return add_caption(canvas, [(title, TEXT_COLOR)], [details], round(1.3 * _TITLE_EM))


def _fit(img: np.ndarray, side: int) -> np.ndarray:
    """The image in RGB, its longer side reduced or enlarged to this many pixels."""
    longer = max(img.shape[:2])
    height, width = (max(1, round(length * side / longer)) for length in img.shape[:2])
    picture = cv2.resize(
        np.ascontiguousarray(img),
        (width, height),
        interpolation=cv2.INTER_AREA if longer > side else cv2.INTER_LINEAR,
    )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _color_cells(picture: np.ndarray, cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture of an image of ``size (H, W)``, in grey, coloured by its ``cells (h, w)``: the
    index of a point, or -1 for none."""
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if cells.max() < 0:
        return grey
    # Steps of the golden ratio keep the hues of points near each other in the list far apart.
    hues = np.arange(cells.max() + 1) * _GOLDEN_RATIO % 1
    hsv = np.stack([hues * 180, np.full_like(hues, 190), np.full_like(hues, 255)], axis=1)
    colors = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0]

    # The last cells may reach beyond the image.
    stride = max(math.ceil(side / number) for side, number in zip(size, cells.shape, strict=True))
    row, col = (
        ((np.arange(pixels) + 0.5) * side / pixels / stride).astype(int)
        for pixels, side in zip(picture.shape[:2], size, strict=True)
    )
    shown = cells[row[:, None], col]
    down, right = shown[1:] != shown[:-1], shown[:, 1:] != shown[:, :-1]
    border = np.zeros(shown.shape, bool)
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    opacity = np.where(border, 0.8, 0.22)[..., None]
    return (grey + opacity * (colors[shown].astype(np.float32) - grey)).astype(np.uint8)


def _draw_boxes(picture: np.ndarray, boxes: np.ndarray) -> None:
    """Draw screen boxes ``(m, 4)`` xyxy in place, but for those without any size."""
    sized = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    # Far outside, OpenCV's fixed point would overflow.
    limit = 4 * max(picture.shape)
    for x0, y0, x1, y1 in np.rint(boxes[sized].clip(-limit, limit)).astype(int).tolist():
        cv2.rectangle(picture, (x0, y0), (x1, y1), BOX_COLOR, 1)


def _describe(stage: Stage, size: tuple[int, int]) -> str:
    parts = [f'{size[1]} \N{MULTIPLICATION SIGN} {size[0]} px']
    if stage.points is not None:
        number = len(stage.points)
        parts.append(f'{number:,} point{"" if number == 1 else "s"}')
    else:
        parts.append('no annotation')
    scale = stage.meta.get('scale_factor', (1.0, 1.0))
    if scale != (1.0, 1.0):
        parts.append(f'scale {np.sqrt(np.prod(scale)):.2f}')
    if stage.meta.get('flip'):
        parts.append('flipped')
    if stage.cells is not None:
        h, w = stage.cells.shape
        parts.append(f'{w} \N{MULTIPLICATION SIGN} {h} cells')
    return '  \N{MIDDLE DOT}  '.join(parts)
