"""Drawing on plain arrays, with OpenCV and Pillow; pictures are RGB uint8 ``(H, W, 3)``.

Positions are screen pixels, with the centre of the first pixel at 0.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmcrowd.ops.neighbours import nearest_neighbour_distances

from .palette import GROUND_COLOR, TEXT_COLOR

# Inferno, less its dark end: that would vanish on the darkened image.
_DENSITY_COLORS = cv2.applyColorMap(
    np.linspace(90, 255, 256).astype(np.uint8)[None], cv2.COLORMAP_INFERNO
)[0, :, ::-1]


def draw_points(
    picture: np.ndarray,
    points: np.ndarray,
    radius: float,
    color: tuple[int, int, int],
    ring: bool = False,
) -> None:
    """Draw points ``(m, 2)`` in place, as dots or as wider thin rings, each with a dark edge."""
    if ring:
        radius = 1.6 * radius + 1
        thickness = max(1, round(radius / 3.5))
        strokes = ((radius, GROUND_COLOR, 2 * thickness), (radius, color, thickness))
    else:
        strokes = ((radius + 0.8, GROUND_COLOR, cv2.FILLED), (radius, color, cv2.FILLED))
    reach = 2 * radius + 2
    size = np.array(picture.shape[1::-1])
    near = np.all((points > -reach) & (points < size + reach), axis=1)
    # OpenCV takes positions between pixels in fixed point, here in sixteenths.
    for center in np.rint(points[near] * 16).astype(int).tolist():
        for r, c, thickness in strokes:
            cv2.circle(picture, center, round(r * 16), c, thickness, cv2.LINE_AA, shift=4)


def point_radius(points: np.ndarray, side: int) -> float:
    """Radius for dots on a picture with this longer side: a crowd gets smaller dots.

    A quarter of the median distance from a point to its nearest neighbour, within bounds.
    """
    largest = max(side, 500) / 200
    if len(points) < 2:
        return largest
    spacing = np.median(nearest_neighbour_distances(points))
    return float(np.clip(spacing / 4, 1.5, largest))


def lay_density(density: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Spread a density map over a picture.

    Args:
        density: ``(h, w)``, persons per cell.
        box: ``(2, 2)``, the screen positions, as edges rather than centres, to which the first
            and the last corner of the map go; a map from right to left is mirrored.
        size: ``(H, W)`` of the picture; what lies outside is cut off.

    Returns:
        ``(H, W)`` float32, persons per screen pixel.
    """
    (x0, y0), (x1, y1) = np.rint(box).astype(int).tolist()
    if x1 < x0:
        density, x0, x1 = density[:, ::-1], x1, x0
    width, height = max(x1 - x0, 1), max(y1 - y0, 1)
    h, w = density.shape
    shrink = width * height < w * h
    # Averaging when there are more cells than pixels keeps persons that fall between pixels.
    laid = cv2.resize(
        np.ascontiguousarray(density, np.float32) * (h * w / (width * height)),
        (width, height),
        interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR,
    )
    screen = np.zeros(size, np.float32)
    top, left = max(y0, 0), max(x0, 0)
    visible = laid[top - y0 : size[0] - y0, left - x0 : size[1] - x0]
    screen[top : top + visible.shape[0], left : left + visible.shape[1]] = visible
    return screen


def overlay_density(picture: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Lay ``level`` ``(H, W)``, 0 to 1, in colour over the picture in dark grey.

    The lowest fifth of the scale fades out, so that the image is seen where nobody is.
    """
    grey = 0.6 * cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    color, opacity = _density_colors(level)
    return (grey + 0.92 * opacity[..., None] * (color - grey)).astype(np.uint8)


def density_layer(level: np.ndarray) -> np.ndarray:
    """The colours of :func:`overlay_density` as a layer of their own, RGBA uint8 ``(H, W, 4)``."""
    color, opacity = _density_colors(level)
    return np.dstack((color, np.rint(255 * opacity).astype(np.uint8)))


def _density_colors(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours ``(H, W, 3)`` uint8, and opacities, 0 to 1, of levels ``(H, W)``."""
    return _DENSITY_COLORS[(level * 255).astype(np.uint8)], np.minimum(5 * level, 1)


def draw_outline(
    picture: np.ndarray, corners: np.ndarray, color: tuple[int, int, int], thickness: int
) -> None:
    """Draw the outline of a polygon ``(m, 2)`` in place, with a dark edge."""
    fixed = np.rint(corners * 16).astype(np.int32)[None]  # sixteenths, as in draw_points
    for c, width in ((GROUND_COLOR, thickness + 2), (color, thickness)):
        cv2.polylines(picture, fixed, True, c, width, cv2.LINE_AA, shift=4)


def add_caption(
    picture: np.ndarray,
    title: Sequence[tuple[str, tuple[int, int, int]]],
    details: Sequence[str | np.ndarray],
    em: int,
) -> np.ndarray:
    """Put a title, and under it a row of details, above a picture.

    Args:
        picture: Centred where the caption is wider.
        title: Texts with their colours.
        details: Texts, and small pictures to show between them.
        em: Size of the title's letters in pixels; the details are in :func:`detail_size`.
    """
    small = detail_size(em)
    big_row = _row([text_block(text, em, color, bold=True) for text, color in title], em)
    small_row = _row([text_block(d, small) if isinstance(d, str) else d for d in details], small)
    width = max(block.shape[1] for block in (picture, big_row, small_row))
    left = (width - picture.shape[1]) // 2
    return np.vstack(
        [
            _pad(big_row, right=width - big_row.shape[1]),
            _pad(small_row, right=width - small_row.shape[1], bottom=small // 2),
            _pad(picture, left=left, right=width - picture.shape[1] - left),
        ]
    )


def detail_size(em: int) -> int:
    """Size of the letters below a title of size ``em``."""
    return max(12, round(0.62 * em))


def side_by_side(panels: Sequence[np.ndarray], gap: int = 6) -> np.ndarray:
    """Join panels from left to right, aligned at the bottom."""
    height = max(panel.shape[0] for panel in panels)
    blocks = [_pad(panel, top=height - panel.shape[0], right=gap) for panel in panels]
    return np.hstack(blocks)[:, :-gap]


def _row(parts: Sequence[np.ndarray], em: int) -> np.ndarray:
    """Parts from left to right on a line of height 1.8 em."""
    height = max([round(1.8 * em), *(part.shape[0] for part in parts)])
    blocks = [np.full((height, em // 2, 3), GROUND_COLOR, np.uint8)]
    for part in parts:
        top = (height - part.shape[0]) // 2
        bottom = height - part.shape[0] - top
        blocks.append(_pad(part, top=top, bottom=bottom, right=em // 2))
    return np.hstack(blocks)


def text_block(
    text: str, em: int, color: tuple[int, int, int] = TEXT_COLOR, bold: bool = False
) -> np.ndarray:
    """A line of text on the ground colour, with letters of ``em`` pixels, 1.4 em high."""
    font = _font(em, bold)
    block = Image.new('RGB', (max(1, round(font.getlength(text))), round(1.4 * em)), GROUND_COLOR)
    ImageDraw.Draw(block).text((0, block.height / 2), text, color, font, anchor='lm')
    return np.asarray(block)


@lru_cache
def _font(em: int, bold: bool) -> ImageFont.FreeTypeFont:
    # Matplotlib, which MMEngine needs, brings the font along.
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', name)), em)


def _pad(block: np.ndarray, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0):
    return cv2.copyMakeBorder(
        block, top, bottom, left, right, cv2.BORDER_CONSTANT, value=GROUND_COLOR
    )
