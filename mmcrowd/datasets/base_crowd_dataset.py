import re
import zlib
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from .transforms.loading import read_image_shape

SPLITS = ('train', 'val', 'trainval', 'test')


class BaseCrowdDataset(BaseDataset):
    """Base of the datasets that give one list of head positions for each image.

    A subclass implements :meth:`load_data_list`, which returns a dict for each image with

    - ``img_path`` (str), ``img_id`` (str, unique in the split),
    - ``points``: float32 ``(m, 2)``, ``(x, y)`` in pixels of the original frame (the image after
      EXIF rotation), integer coordinates being pixel centres,
    - optionally ``boxes`` (m, 4), ``sigmas`` (m, 2) and ``attributes`` (dict).

    **Splits.** Where a benchmark has no validation set of its own, its training images in natural
    order of their names are divided by position: every tenth (the 10th, 20th, ...) is ``'val'``,
    the others are ``'train'``, all of them are ``'trainval'``. Models are selected on ``'val'``;
    ``'test'`` is the official test set and is for reporting only.

    **Points outside their image** (outside ``-0.5 <= x < w - 0.5``) are moved to the nearest pixel
    centre, so that the count of the image stays the annotated one; one warning per dataset says
    how many there were.

    Args:
        data_root: Folder of the dataset as downloaded.
        split: One of ``'train'``, ``'val'``, ``'trainval'``, ``'test'``.
        pipeline: Transforms, see :class:`mmengine.dataset.BaseDataset`.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`, but for
            ``data_prefix``: each dataset knows its own folders.

    Raises:
        ValueError: For an unknown split, points that are not finite or not ``(m, 2)``.
        FileNotFoundError: For a missing folder, image or annotation.
    """

    def __init__(self, data_root: str = '', split: str = 'train', pipeline=(), **kwargs):
        if split not in SPLITS:
            raise ValueError(f'{type(self).__name__}: split={split!r}, expected one of {SPLITS}')
        if 'data_prefix' in kwargs:
            raise TypeError(f'{type(self).__name__} takes no data_prefix, only data_root')
        self.split = split
        # Seed and epoch, in memory that loader workers share; negative while nobody has set them.
        self._stream = torch.full((2,), -1, dtype=torch.int64).share_memory_()
        # An image without people is a valid training image: nothing is ever filtered.
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def _join_prefix(self) -> None:
        """Each dataset lays out its own folders: there is no ``data_prefix`` to join."""

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Make the random transforms of each sample a function of seed, epoch and index.

        Takes effect in running workers too. Until it is called, transforms draw from the NumPy
        generator of their process as it is.
        """
        self._stream.copy_(torch.tensor([seed, epoch]))

    def prepare_data(self, idx: int):
        """Run the pipeline on sample ``idx``, see :meth:`set_epoch`."""
        seed, epoch = self._stream.tolist()
        if epoch < 0:
            return super().prepare_data(idx)
        state = np.random.get_state()
        np.random.seed(np.random.SeedSequence([seed, epoch, idx]).generate_state(8))
        try:
            return super().prepare_data(idx)
        finally:
            np.random.set_state(state)

    def _select_split(self, paths: list) -> list:
        """The part of the official training list that belongs to ``self.split``."""
        if self.split in ('trainval', 'test'):
            return paths
        is_val = self.split == 'val'
        return [path for i, path in enumerate(paths) if (i % 10 == 9) == is_val]

    def _finish(self, data_list: list[dict]) -> list[dict]:
        """Check the points of every image and apply the rule for points outside.

        Reads no more of an image than the header with its size.
        """
        if not data_list:
            raise ValueError(
                f'{type(self).__name__}: no image in split {self.split!r} of {self.data_root!r}'
            )
        outside, affected = 0, 0
        for info in data_list:
            info['points'] = check_points(info['points'], source=info['ann_path'])
            height, width = read_image_shape(info['img_path'])
            info.setdefault('attributes', {})
            clipped = clip_points(info['points'], (height, width))
            moved = int((clipped != info['points']).any(axis=1).sum())
            info['points'] = clipped
            outside += moved
            affected += moved > 0
        if outside:
            MMLogger.get_current_instance().warning(
                f'{type(self).__name__} ({self.split}): {outside} points in {affected} images lie '
                'outside their image and were moved to the nearest pixel centre.'
            )
        return data_list


def check_points(points, source: str) -> np.ndarray:
    """Points as float32 ``(m, 2)``, or a ``ValueError`` that names their ``source``."""
    try:
        points = np.asarray(points, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f'{source}: points are not numbers, expected (m, 2) pixels') from None
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


def check_boxes(boxes, num_points: int, source: str) -> np.ndarray:
    """Boxes as float32 ``(m, 4)`` xyxy, one per point, or a ``ValueError`` naming ``source``."""
    try:
        boxes = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f'{source}: boxes are not numbers, expected (m, 4) xyxy') from None
    if num_points == boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.shape != (num_points, 4) or not np.isfinite(boxes).all():
        raise ValueError(
            f'{source}: boxes have shape {boxes.shape}, expected ({num_points}, 4), finite'
        )
    return boxes


def clip_points(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Move the points outside an image of ``shape = (h, w)`` to the nearest pixel centre."""
    height, width = shape
    size = np.array([width, height], np.float32)
    inside = (points >= -0.5) & (points < size - 0.5)
    return np.where(inside, points, np.clip(points, 0, size - 1)).astype(np.float32)


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Files of ``folder`` that match the regular expression, in natural order (IMG_2, IMG_10)."""
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')

    def natural(path: Path) -> list:
        return [int(s) if s.isdigit() else s for s in re.split(r'(\d+)', path.name)]

    return sorted((p for p in folder.iterdir() if re.fullmatch(pattern, p.name)), key=natural)


def pair_files(images: list[Path], annotations: dict[str, Path], folder: Path) -> list[tuple]:
    """Pairs (image, annotation) by image stem; every file must have its partner."""
    stems = {image.stem for image in images}
    without_annotation = sorted(stems - annotations.keys())
    without_image = sorted(annotations.keys() - stems)
    if without_annotation or without_image:
        raise FileNotFoundError(
            f'{folder}: {len(without_annotation)} images without annotation '
            f'{without_annotation[:5]}, {len(without_image)} annotations without image '
            f'{without_image[:5]}'
        )
    return [(image, annotations[image.stem]) for image in images]


def load_mat(path: Path, key: str):
    """Variable ``key`` of a MATLAB file, or an error that names file and key."""
    try:
        variables = loadmat(path)
    except (MatReadError, NotImplementedError, ValueError, TypeError, OSError, zlib.error) as error:
        raise ValueError(f'{path}: not a readable MATLAB 5 file ({error})') from error
    if key not in variables:
        found = sorted(k for k in variables if not k.startswith('__'))
        raise KeyError(f'{path}: no variable {key!r}, found {found}')
    return variables[key]
