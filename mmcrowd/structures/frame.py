"""The map between the original image frame and the input frame of the network.

Integer coordinates are pixel centres: pixel column ``j`` has ``x = j`` and covers
``[j - 0.5, j + 0.5)``. Every chain of resize, crop and horizontal flip is kept in one canonical
form, in the meta information of the sample:

1. resize by ``scale_factor = (sx, sy)``: ``x -> (x + 0.5) * sx - 0.5``;
2. crop at ``crop_offset = (x0, y0)``: ``x -> x - x0`` (a real number, since a resize after a crop
   scales the offset too);
3. if ``flip``: ``x -> w - 1 - x`` with ``w`` the width of ``img_shape = (h, w)``.

Padding is a crop at a negative offset; to the right and to the bottom only it moves no point. The
three ``compose_*`` functions append one operation to the form; transforms call them so that the way
back, :func:`to_original_frame`, holds whatever the order of the pipeline was.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, TypeVar

import numpy as np
import torch

Points = TypeVar('Points', np.ndarray, torch.Tensor)


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


def to_input_frame(points: Points, meta: Mapping) -> Points:
    """Move points from the original frame to the input frame.

    Args:
        points: ``(m, 2)``, ``(x, y)`` in pixels of the original frame, an array or a tensor.
        meta: Meta information with ``img_shape`` and, where they differ from the identity,
            ``scale_factor``, ``crop_offset`` and ``flip``.

    Returns:
        ``(m, 2)`` new points of the same kind and floating type (float32 for integers), a tensor on
        its device; points that a crop cut off are kept. The arithmetic is in float64.

    Examples:
        >>> meta = dict(img_shape=(50, 70), scale_factor=(0.5, 0.5), flip=True)
        >>> to_input_frame(np.array([[0.5, 0.5]]), meta)
        array([[69.,  0.]])
    """
    out, kind = _double(points)
    for axis, (scale, offset) in enumerate(zip(_scale(meta), _offset(meta), strict=True)):
        out[:, axis] = (out[:, axis] + 0.5) * scale - 0.5 - offset
    if meta.get('flip', False):
        out[:, 0] = meta['img_shape'][1] - 1 - out[:, 0]
    return _typed(out, kind)


def to_original_frame(points: Points, meta: Mapping) -> Points:
    """Move points from the input frame back to the original frame.

    The inverse of :func:`to_input_frame`, with the same arguments and the same kind of result.

    Examples:
        >>> meta = dict(img_shape=(50, 70), scale_factor=(0.5, 0.5), flip=True)
        >>> to_original_frame(np.array([[69.0, 0.0]]), meta)
        array([[0.5, 0.5]])
    """
    out, kind = _double(points)
    if meta.get('flip', False):
        out[:, 0] = meta['img_shape'][1] - 1 - out[:, 0]
    for axis, (scale, offset) in enumerate(zip(_scale(meta), _offset(meta), strict=True)):
        out[:, axis] = (out[:, axis] + offset + 0.5) / scale - 0.5
    return _typed(out, kind)


def _scale(meta: Mapping) -> tuple[float, float]:
    return meta.get('scale_factor', (1.0, 1.0))


def _offset(meta: Mapping) -> tuple[float, float]:
    return meta.get('crop_offset', (0.0, 0.0))


def _double(points: Points) -> tuple[Points, Any]:
    """The points as a new float64 array or tensor, and what the result is to be like."""
    if isinstance(points, torch.Tensor):
        # On the host where the device, MPS, has no float64.
        device = 'cpu' if points.device.type == 'mps' else points.device
        like = points if points.is_floating_point() else points.float()
        return points.to(device, torch.float64, copy=True), like
    points = np.asarray(points)
    dtype = points.dtype if np.issubdtype(points.dtype, np.floating) else np.dtype(np.float32)
    return points.astype(np.float64), dtype


def _typed(points: Points, kind: Any) -> Points:
    return points.to(kind) if isinstance(points, torch.Tensor) else points.astype(kind)
