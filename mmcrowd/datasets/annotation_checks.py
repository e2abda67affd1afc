"""Checks of annotations, and the rule for points outside their image."""

import numpy as np

from mmcrowd.structures.point_fields import POINT_FIELDS

from .image_entry import ImageEntry


def check_annotation(annotation: dict, source: str) -> dict[str, np.ndarray]:
    """What :meth:`BaseCrowdDataset.read_annotation` returns as arrays, a row for each point."""
    if not annotation:
        return {}
    points = check_points(annotation['points'], source)
    others = {
        key: check_field(values, key, len(points), source)
        for key, values in annotation.items()
        if key != 'points'
    }
    return dict(points=points, **others)


def check_number(entry: ImageEntry, annotation: dict[str, np.ndarray]) -> None:
    """Raise a ``ValueError`` if the number of points is not the one that the benchmark names."""
    found = len(annotation['points']) if 'points' in annotation else None
    if None not in (found, entry.num_points) and found != entry.num_points:
        raise ValueError(f'{entry.ann_path}: {found} points, labelled as {entry.num_points}')


def check_points(points, source: str) -> np.ndarray:
    """Points as float32 ``(m, 2)``, or a ``ValueError`` that names their ``source``."""
    points = _as_numbers(points, f'{source}: points are not numbers, expected (m, 2) pixels')
    with np.errstate(over='ignore'):  # found below
        points = points.astype(np.float32)
    if points.ndim > 0 and len(points) == 0:
        return np.zeros((0, 2), np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f'{source}: points have shape {points.shape}, expected (m, 2)')
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise ValueError(
            f'{source}: {len(bad)} points are not finite, the first is number {bad[0]}: '
            f'{points[bad[0]].tolist()}, expected pixel coordinates'
        )
    return points


def check_field(values, key: str, num_points: int, source: str) -> np.ndarray:
    """Another value for each point, see ``POINT_FIELDS``, or a ``ValueError`` naming ``source``."""
    others = [known for known in POINT_FIELDS if known != 'points']
    if key not in others:
        raise ValueError(f'{source}: unknown {key!r} of points, expected some of {others}')
    field = POINT_FIELDS[key]
    shape, dtype, words = field.shape, field.dtype, field.words
    values = _as_numbers(values, f'{source}: {key} are not numbers, expected {words}')
    if num_points == values.size == 0:
        return np.zeros((0, *shape), dtype)
    wanted = (num_points, *shape)
    if values.shape != wanted or not np.isfinite(values).all():
        raise ValueError(f'{source}: {key} have shape {values.shape}, expected {wanted}, finite')
    with np.errstate(invalid='ignore', over='ignore'):
        converted = values.astype(dtype)
    if dtype == np.int64 and (converted != values).any():
        raise ValueError(f'{source}: {key} are not whole numbers, expected {words}')
    return converted


def _as_numbers(values, message: str) -> np.ndarray:
    """Values as an array of numbers; text that looks like a number is none, nor is true."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # rows of different lengths
        raise ValueError(message) from None
    if array.dtype.kind not in 'iuf':
        raise ValueError(message)
    # Beside numbers, NumPy takes true for 1.
    if array is not values and bool in set(map(type, np.asarray(values, object).flat)):
        raise ValueError(message)
    return array


def clip_points(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Move the points outside an image of ``shape = (h, w)`` to the nearest pixel centre."""
    height, width = shape
    size = np.array([width, height], np.float32)
    inside = (points >= -0.5) & (points < size - 0.5)
    return np.where(inside, points, np.clip(points, 0, size - 1)).astype(np.float32)


def move_points_inside(data_list: list[dict]) -> tuple[int, int]:
    """Apply :func:`clip_points` to the ``points`` of all entries, in place.

    Args:
        data_list: Entries, perhaps without ``points``. Their ``size`` ``(h, w)`` is removed.

    Returns:
        How many points were moved, and in how many images.
    """
    outside, affected = 0, 0
    for info in data_list:
        size = info.pop('size')
        if 'points' in info:
            clipped = clip_points(info['points'], size)
            moved = int((clipped != info['points']).any(axis=1).sum())
            info['points'] = clipped
            outside += moved
            affected += moved > 0
    return outside, affected
