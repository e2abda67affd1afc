"""The table of what an image may have for each of its points.

A dataset gives these values beside the points, transforms move them with the pixels and drop the
rows of dropped points, the sample holds them in ``gt_instances``, and the annotation file of a
prepared copy stores them. A value that another benchmark has is one more entry of
:data:`POINT_FIELDS`, in a file of that benchmark's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .frame import to_original_frame


@dataclass(frozen=True)
class PointField:
    """A value for each point that stays as it is, whatever happens to the image.

    Args:
        shape: Shape of the value of one point.
        dtype: Type of the values.
        words: The shape and meaning of the values of an image, for messages.
    """

    shape: tuple[int, ...]
    dtype: type
    words: str

    # Whether a transform changes the values, so that they have a form in each frame.
    moves = False

    def resize(self, values: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
        """Values ``(m, *shape)`` after a resize by ``scale = (sx, sy)``."""
        return values

    def shift(self, values: np.ndarray, offset: tuple[float, float] | np.ndarray) -> np.ndarray:
        """Values ``(m, *shape)`` after the origin has moved to ``offset = (x0, y0)``, or for each
        point to its row of ``(m, 2)``."""
        return values

    def flip(self, values: np.ndarray, width: int) -> np.ndarray:
        """Values ``(m, *shape)`` after a horizontal flip of an image of this width."""
        return values

    def to_original_frame(self, values: np.ndarray, meta: Mapping) -> np.ndarray:
        """Values ``(m, *shape)`` float64 of the input frame, in the original frame."""
        return values


class Positions(PointField):
    """Places ``(x, y)``, one or several in a row."""

    moves = True

    def resize(self, values, scale):
        return (values + 0.5) * self._columns(scale, values.dtype) - 0.5

    def shift(self, values, offset):
        return values - self._columns(offset, values.dtype)

    def flip(self, values, width):
        values = values.copy()
        values[:, ::2] = width - 1 - values[:, ::2]
        return values

    def to_original_frame(self, values, meta):
        return to_original_frame(values.reshape(-1, 2), meta).reshape(values.shape)

    def _columns(self, pair: tuple[float, float] | np.ndarray, dtype: np.dtype) -> np.ndarray:
        return np.tile(np.asarray(pair, dtype), self.shape[0] // 2)


class Boxes(Positions):
    """Boxes xyxy; a flip exchanges their left and right sides."""

    def flip(self, values, width):
        return super().flip(values, width)[:, [2, 1, 0, 3]]

    def to_original_frame(self, values, meta):
        moved = super().to_original_frame(values, meta)
        return moved[:, [2, 1, 0, 3]] if meta.get('flip', False) else moved


class Lengths(PointField):
    """Lengths in pixels, which change with the square root of the area."""

    moves = True

    def resize(self, values, scale):
        return values * np.sqrt(scale[0] * scale[1], dtype=values.dtype)

    def to_original_frame(self, values, meta):
        return values / np.sqrt(np.prod(meta.get('scale_factor', (1.0, 1.0))))


POINT_FIELDS: dict[str, PointField] = dict(
    points=Positions((2,), np.float32, '(m, 2) (x, y)'),
    boxes=Boxes((4,), np.float32, '(m, 4) xyxy'),
    sigmas=Lengths((2,), np.float32, '(m, 2) radii'),
    occlusion=PointField((), np.int64, '(m,) integers'),
    blur=PointField((), np.int64, '(m,) integers'),
    visible=PointField((), np.float32, '(m,) shares of the heads inside of the image'),
)


def truth_to_original_frame(truth: Mapping, meta: Mapping) -> dict[str, np.ndarray]:
    """Move what is known of the heads back to the original frame.

    Args:
        truth: Among other entries any of those :data:`POINT_FIELDS` that transforms change, in the
            input frame; None counts as absent.
        meta: As for :func:`~mmcrowd.structures.frame.to_input_frame`.

    Returns:
        New float64 arrays of those that there are.
    """
    moved = {}
    for key, field in POINT_FIELDS.items():
        if field.moves and truth.get(key) is not None:
            values = np.asarray(truth[key], np.float64).reshape(-1, *field.shape)
            moved[key] = field.to_original_frame(values, meta)
    return moved
