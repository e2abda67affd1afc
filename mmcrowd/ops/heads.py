"""What the box of a head says of its size: the radii and the levels of NWPU-Crowd."""

import numpy as np

# Levels of the head area (Wang et al., NWPU-Crowd, TPAMI 2020), in pixels of the original frame:
# A0 < 10 <= A1 < 10^2 <= A2 < 10^3 <= A3 < 10^4 <= A4 < 10^5 <= A5.
HEAD_LEVELS = ('A0', 'A1', 'A2', 'A3', 'A4', 'A5')
HEAD_LEVEL_AREAS = (1e1, 1e2, 1e3, 1e4, 1e5)

# The radii of NWPU-Crowd, in the order of the columns of :func:`box_sigmas`.
HEAD_RADII = ('sigma_s', 'sigma_l')

# Decimals that count of a box's side: as many as are left of the difference of two large
# coordinates in single precision.
_SIDE_DECIMALS = 2


def box_sigmas(boxes: np.ndarray) -> np.ndarray:
    r"""The two radii of NWPU-Crowd within which a head counts as found.

    Of a box of width :math:`w` and height :math:`h` (Wang et al., TPAMI 2020),
    :math:`\sigma_s = \lfloor \min(w, h) / 2 \rfloor` and
    :math:`\sigma_l = \lfloor \sqrt{w^2 + h^2} / 2 \rfloor`. Radii that a truth file states come
    before these: in that of the validation set some follow from no box by this formula. Sides are
    taken to the hundredth of a pixel, which leaves out what single precision adds to them.

    Args:
        boxes: ``(m, 4)`` boxes of the heads, xyxy in pixels of the original frame.

    Returns:
        ``(m, 2)`` int64 :math:`\sigma_s` and :math:`\sigma_l`.

    Raises:
        ValueError: A box that is not four finite numbers with ``x1 <= x2`` and ``y1 <= y2``.

    Examples:
        >>> box_sigmas([[10, 10, 16, 18]])
        array([[3, 5]])
    """
    width, height = _box_sizes(boxes)
    diagonal = np.sqrt((width**2 + height**2).round(2 * _SIDE_DECIMALS))
    radii = np.stack([np.minimum(width, height), diagonal], axis=1) / 2
    return np.floor(radii).astype(np.int64)


def box_levels(boxes: np.ndarray) -> np.ndarray:
    """Level of the area of each head's box, see :data:`HEAD_LEVELS`; sides as in
    :func:`box_sigmas`.

    Args:
        boxes: As :func:`box_sigmas`.

    Returns:
        ``(m,)`` int64, 0 to 5.

    Raises:
        ValueError: As :func:`box_sigmas`.

    Examples:
        >>> box_levels([[0, 0, 3, 3], [0, 0, 2, 5]])
        array([0, 1])
    """
    width, height = _box_sizes(boxes)
    areas = (width * height).round(2 * _SIDE_DECIMALS)
    return np.searchsorted(HEAD_LEVEL_AREAS, areas, side='right')


def _box_sizes(boxes: np.ndarray) -> np.ndarray:
    """``(2, m)`` width and height of each box, without the noise of its coordinates."""
    boxes = np.asarray(boxes, np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'boxes have shape {boxes.shape}, expected (m, 4)')
    x1, y1, x2, y2 = boxes.T
    size = np.stack([x2 - x1, y2 - y1]).round(_SIDE_DECIMALS)
    valid = np.isfinite(size) & (size >= 0)
    if not valid.all():
        index = int(np.argmin(valid.all(0)))
        raise ValueError(
            f'boxes[{index}] is {boxes[index].tolist()}, expected x1 <= x2 and y1 <= y2'
        )
    return size
