"""The map between the original image frame and the input frame of the network.

Integer coordinates are pixel centres: pixel column ``j`` has ``x = j`` and covers
``[j - 0.5, j + 0.5)``. Every chain of resize, crop and horizontal flip is kept in one canonical
form, in the meta information of the sample:

1. resize by ``scale_factor = (sx, sy)``: ``x -> (x + 0.5) * sx - 0.5``;
2. crop at ``crop_offset = (x0, y0)``: ``x -> x - x0`` (a real number, since a resize after a crop
   scales the offset too);
3. if ``flip``: ``x -> w - 1 - x`` with ``w`` the width of ``img_shape = (h, w)``.

Padding is to the right and to the bottom only, so it never moves a point. The three ``compose_*``
functions append one operation to the form; transforms call them so that the way back,
:func:`to_original_frame`, holds whatever the order of the pipeline was.
"""

from collections.abc import Mapping, MutableMapping

import numpy as np


def compose_resize(meta: MutableMapping, scale: tuple[float, float], size: tuple[int, int]) -> None:
    """Append a resize by ``scale = (sx, sy)`` to an image of ``size = (h, w)``, in place."""
    (sx, sy), (x0, y0) = _scale(meta), _offset(meta)
    # The centre of pixel 0 lies half a pixel inside the image; an offset is a plain length.
    meta['scale_factor'] = (sx * scale[0], sy * scale[1])
    meta['crop_offset'] = (x0 * scale[0], y0 * scale[1])
    meta['img_shape'] = tuple(size)


def compose_crop(meta: MutableMapping, offset: tuple[float, float], size: tuple[int, int]) -> None:
    """Append a crop at ``offset = (x0, y0)`` to an image of ``size = (h, w)``, in place."""
    x0, y0 = _offset(meta)
    dx, dy = offset
    if meta.get('flip', False):
        # Seen from before the flip, the crop starts at the other side of the image.
        dx = meta['img_shape'][1] - size[1] - dx
    meta['crop_offset'] = (x0 + dx, y0 + dy)
    meta['img_shape'] = tuple(size)


def compose_flip(meta: MutableMapping) -> None:
    """Append a horizontal flip, in place."""
    meta['flip'] = not meta.get('flip', False)


def whole_image_size(meta: Mapping) -> tuple[float, float]:
    """Size ``(h, w)`` of the whole image at the scale of the input frame, in its pixels.

    A crop cuts off nothing of it and padding adds nothing, so an image that was only resized and
    flipped has the size of its ``img_shape``.

    Args:
        meta: Meta information with ``ori_shape`` and, if it is not the identity, ``scale_factor``.
    """
    (height, width), (sx, sy) = meta['ori_shape'], _scale(meta)
    return height * sy, width * sx


def to_input_frame(points: np.ndarray, meta: Mapping) -> np.ndarray:
    """Move points from the original frame to the input frame.

    Args:
        points: ``(m, 2)``, ``(x, y)`` in pixels of the original frame.
        meta: Meta information with ``img_shape`` and, where they differ from the identity,
            ``scale_factor``, ``crop_offset`` and ``flip``.

    Returns:
        ``(m, 2)`` points of the same floating type; points that a crop cut off are kept.
    """
    points = _floating(points)
    out = (points.astype(np.float64) + 0.5) * _scale(meta) - 0.5 - np.asarray(_offset(meta))
    if meta.get('flip', False):
        out[:, 0] = meta['img_shape'][1] - 1 - out[:, 0]
    return out.astype(points.dtype)


def to_original_frame(points: np.ndarray, meta: Mapping) -> np.ndarray:
    """Move points from the input frame back to the original frame.

    The inverse of :func:`to_input_frame`; arguments and result are alike.
    """
    points = _floating(points)
    out = points.astype(np.float64)
    if meta.get('flip', False):
        out[:, 0] = meta['img_shape'][1] - 1 - out[:, 0]
    out = (out + np.asarray(_offset(meta)) + 0.5) / _scale(meta) - 0.5
    return out.astype(points.dtype)


def truth_to_original_frame(truth: Mapping, meta: Mapping) -> dict[str, np.ndarray]:
    """Move what is known of the heads back to the original frame.

    Args:
        truth: Any of ``points`` ``(m, 2)``, ``boxes`` ``(m, 4)`` xyxy and ``sigmas`` ``(m, 2)`` of
            the input frame, among other entries.
        meta: As for :func:`to_input_frame`.

    Returns:
        New arrays, float64, of those that there are. Sigmas change with the square root of the
        area.
    """
    moved = {}
    for key, width in (('points', 2), ('boxes', 4)):
        if truth.get(key) is not None:
            values = np.asarray(truth[key], np.float64).reshape(-1, 2)
            moved[key] = to_original_frame(values, meta).reshape(-1, width)
    if 'boxes' in moved and meta.get('flip', False):  # the corners have changed places
        moved['boxes'] = moved['boxes'][:, [2, 1, 0, 3]]
    if truth.get('sigmas') is not None:
        sigmas = np.asarray(truth['sigmas'], np.float64).reshape(-1, 2)
        moved['sigmas'] = sigmas / np.sqrt(np.prod(_scale(meta)))
    return moved


def _scale(meta: Mapping) -> tuple[float, float]:
    return meta.get('scale_factor', (1.0, 1.0))


def _offset(meta: Mapping) -> tuple[float, float]:
    return meta.get('crop_offset', (0.0, 0.0))


def _floating(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points)
    return points if np.issubdtype(points.dtype, np.floating) else points.astype(np.float32)
