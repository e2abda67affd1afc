"""The frames of a video with what was counted drawn in."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import cv2
import numpy as np

from mmcrowd.fileio.files import printable
from mmcrowd.structures import CrowdDataSample, SampleReader, to_original_frame

from .drawing import (
    draw_outline,
    draw_points,
    lay_density,
    overlay_density,
    point_radius,
    text_block,
)
from .palette import GROUND_COLOR, HELP_LINE, PREDICTION_COLOR, SERIES, TEXT_COLOR
from .time_series import clock_text

# The longer side of the frame in the picture, screen pixels.
_SIDES = (640, 1280)
# Share of the density's picture in the mixture with the frame.
_MIXTURE = 0.6
# Samples in the strip below.
_REMEMBERED = 240


class VideoOverlay:
    """Draw frames of one video, all in the size of the first.

    Above the frame are count and time; on it densities in colour, a ring for each person, and the
    zones with their counts, in the colours of :func:`~mmcrowd.visualization.time_series.\
draw_time_series`; below it the counts of the last 240 samples as a line. The brightest colour
    stands for 0.4 of the highest density so far, so that colours do not flicker.
    """

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._top = 0.0
        self._counts: deque[float] = deque(maxlen=_REMEMBERED)
        self._highest = 0.0

    def draw(
        self,
        img: np.ndarray,
        sample: CrowdDataSample,
        seconds: float,
        zones: Sequence[Mapping[str, Any]] = (),
        polygons: Sequence[Sequence[Sequence[np.ndarray]]] = (),
        clock: datetime | None = None,
    ) -> np.ndarray:
        """Draw the next frame.

        Args:
            img: RGB uint8 ``(H, W, 3)``, the original frame.
            sample: A prediction for it.
            seconds: Its time.
            zones: ``name`` and ``count`` of each zone. Defaults to none.
            polygons: The parts of each zone, each a list of rings ``(k, 2)`` in pixels of ``img``,
                ``(x, y)``. Defaults to none.
            clock: Its time of day. Defaults to None.

        Returns:
            RGB uint8 ``(H', W', 3)``, both sides even.
        """
        if self._size is None:
            self._size = _screen_size(img.shape[:2])
        height, width = self._size
        scale = np.array([width / img.shape[1], height / img.shape[0]])
        shrinks = scale.min() < 1
        picture = cv2.resize(
            img, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        read = SampleReader(sample, 'VideoOverlay')
        if read.density is not None:
            picture = self._shade(picture, read, scale)
        em = max(self._size) // 32
        thickness = max(1, em // 14)
        for number, parts in enumerate(polygons):
            for ring in (ring for part in parts for ring in part):
                draw_outline(picture, (ring + 0.5) * scale - 0.5, _zone_color(number), thickness)
        if read.pred_points is not None:
            points = (read.pred_points + 0.5) * scale - 0.5
            radius = point_radius(points, max(self._size)) / 1.5
            draw_points(picture, points, radius, PREDICTION_COLOR, ring=True)
        for number, (zone, parts) in enumerate(zip(zones, polygons, strict=True)):
            text = f' {printable(zone["name"])}  {zone["count"]:.1f} '
            block = text_block(text, round(0.7 * em), _zone_color(number), bold=True)
            x, y = ((parts[0][0].min(0) + parts[0][0].max(0)) / 2 + 0.5) * scale
            _paste(picture, block, y - block.shape[0] / 2, x - block.shape[1] / 2)
        count = float(read.value('pred_count'))
        return np.vstack(
            [self._headline(count, seconds, clock, em), picture, self._strip(count, em)]
        )

    def _shade(self, picture: np.ndarray, read: SampleReader, scale: np.ndarray) -> np.ndarray:
        """The picture with the density over it."""
        density = read.density
        assert density is not None
        size = picture.shape[:2]
        far = np.array(density.shape[::-1]) * read.stride()
        corners = to_original_frame(np.array([[0.0, 0.0], far]) - 0.5, read.meta) + 0.5
        sigma = max(size) / 256
        laid = lay_density(np.maximum(density, 0), corners * scale, size)
        laid = cv2.GaussianBlur(laid, (0, 0), sigma)
        # At least a tenth of the peak of one person on one pixel: noise does not glow.
        least = 0.1 / (2 * np.pi * sigma**2)
        self._top = max(self._top, 0.4 * float(laid.max()), least)
        shaded = overlay_density(picture, np.minimum(laid / self._top, 1))
        return cv2.addWeighted(picture, 1 - _MIXTURE, shaded, _MIXTURE, 0)

    def _headline(
        self, count: float, seconds: float, clock: datetime | None, em: int
    ) -> np.ndarray:
        assert self._size is not None
        bar = np.full((_even(1.8 * em), self._size[1], 3), GROUND_COLOR, np.uint8)
        text = clock_text(seconds, 1)
        if clock is not None:
            text = f'{clock:%Y-%m-%d %H:%M:%S}   {text}'
        # Adding 0 turns a rounded -0.0 into 0.0.
        left = text_block(f'count {round(count, 1) + 0.0:.1f}', em, PREDICTION_COLOR, bold=True)
        right = text_block(text, round(0.8 * em), TEXT_COLOR)
        for block, x in ((left, em / 2), (right, self._size[1] - right.shape[1] - em / 2)):
            _paste(bar, block, (bar.shape[0] - block.shape[0]) / 2, x)
        return bar

    def _strip(self, count: float, em: int) -> np.ndarray:
        """The counts so far as a line; its height is the highest of all."""
        assert self._size is not None
        self._counts.append(count)
        self._highest = max(self._highest, count)
        strip = np.full((_even(3 * em), self._size[1], 3), GROUND_COLOR, np.uint8)
        label = text_block(f'{self._highest:.0f}', round(0.6 * em), TEXT_COLOR)
        left, right = em / 2 + 3 * 0.6 * em, self._size[1] - em / 2
        low, high = strip.shape[0] - 0.5 * em, 0.5 * em
        _paste(strip, label, high - label.shape[0] / 2, em / 2)
        cv2.line(strip, (round(left), round(low)), (round(right), round(low)), _DIM, 1)
        cv2.line(strip, (round(left), round(high)), (round(right), round(high)), _DIM, 1)
        # Full at 60 samples, and closer together from there on.
        x = left + (right - left) * np.arange(len(self._counts)) / max(60, len(self._counts) - 1)
        y = low - (low - high) * np.array(self._counts) / max(self._highest, 1e-9)
        line = np.rint(16 * np.stack((x, y), 1)).astype(np.int32)
        area = np.concatenate((line, np.rint(16 * np.array([[x[-1], low], [x[0], low]])))).astype(
            np.int32
        )
        cv2.fillPoly(strip, [area], _FAINT, cv2.LINE_AA, shift=4)
        cv2.polylines(strip, [line], False, PREDICTION_COLOR, max(1, em // 12), cv2.LINE_AA, 4)
        draw_points(strip, line[-1:] / 16, max(2, em // 8), PREDICTION_COLOR)
        return strip


_DIM = tuple(int(HELP_LINE[i : i + 2], 16) // 2 for i in (1, 3, 5))
_FAINT = (70, 48, 26)


def _screen_size(size: tuple[int, int]) -> tuple[int, int]:
    """``(height, width)`` of a frame in the picture, both even."""
    least, most = _SIDES
    longer = max(size)
    factor = min(max(longer, least), most) / longer
    height, width = (_even(side * factor) for side in size)
    return height, width


def _even(side: float) -> int:
    return max(2, 2 * round(side / 2))


def _zone_color(number: int) -> tuple[int, int, int]:
    red, green, blue = (int(SERIES[number % len(SERIES)][i : i + 2], 16) for i in (1, 3, 5))
    # Lighter than on paper, for the dark ground.
    return (red + 255) // 2, (green + 255) // 2, (blue + 255) // 2


def _paste(picture: np.ndarray, block: np.ndarray, y: float, x: float) -> None:
    """Put a block into a picture, in place, moved inside and cut off where it is larger."""
    block = block[: picture.shape[0], : picture.shape[1]]
    top = min(max(round(y), 0), picture.shape[0] - block.shape[0])
    left = min(max(round(x), 0), picture.shape[1] - block.shape[1])
    picture[top : top + block.shape[0], left : left + block.shape[1]] = block
