import hashlib
import inspect
import itertools
import os
import re
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from scipy.io import loadmat

from mmcrowd.fileio.files import printable
from mmcrowd.fileio.images import read_image_shape
from mmcrowd.fileio.numerals import is_number
from mmcrowd.structures.point_fields import POINT_FIELDS

from .annotation_cache import AnnotationCache, encode_plain, user_cache_dir
from .annotation_json import FILE_NAME, read_annotations
from .transforms.partition import PartitionByNearestPoint

SPLITS = ('train', 'val', 'trainval', 'test')
MAX_NAMED = 20  # problems in one error, and files in one problem

# Attributes that no annotation depends on, or that the files of the images stand for already.
NOT_OF_ANNOTATIONS = frozenset(
    (
        'ann_file',
        'cache_dir',
        'data_address',
        'data_bytes',
        'data_list',
        'data_root',
        'max_refetch',
        'num_outside',
        'pipeline',
        'serialize_data',
        '_fully_initialized',
        '_indices',
    )
)


class BaseCrowdDataset(BaseDataset, ABC):
    """Base of the datasets that give one list of head positions for each image.

    A subclass implements :meth:`list_images` and, unless that gives the annotations too,
    :meth:`read_annotation`, and shows the folder tree of its files as the first literal block of
    its docstring, which an error for a wrong folder shows too. Besides that folder each dataset
    reads a copy of it that ``tools/dataset_converters/prepare.py`` has written: it is known by its
    ``annotations.json``. What :meth:`get_data_info` returns for an image has

    - ``img_path`` (str), ``img_id`` (str, unique in the split),
    - ``points``: float32 ``(m, 2)``, ``(x, y)`` in pixels of the original frame (the image after
      EXIF rotation), integer coordinates being pixel centres; there is no such key for an image
      whose annotation is not published,
    - where the benchmark gives them, other values for each point: ``boxes`` float32 ``(m, 4)``
      xyxy, ``sigmas`` float32 ``(m, 2)``, ``occlusion`` and ``blur`` int64 ``(m,)``, see
      :mod:`mmcrowd.structures.point_fields`,
    - ``attributes`` (dict), the benchmark's labels of the image,
    - for a resized copy ``ori_shape``, the (height, width) that the image had as downloaded; the
      points are in pixels of the copy.

    **Splits.** Where a benchmark has no validation set of its own, its training images in natural
    order of their names are divided by position: every tenth (the 10th, 20th, ...) is ``'val'``,
    the others are ``'train'``, all of them are ``'trainval'``. Models are selected on ``'val'``;
    ``'test'`` is the official test set and is for reporting only.

    **Points outside their image** (outside ``-0.5 <= x < w - 0.5``) are moved to the nearest pixel
    centre, so that the count of the image stays the annotated one; one warning per dataset says
    how many there were.

    **Cache.** At the first start all annotations are parsed and the sizes of all images read from
    their headers. The result is kept in one file for each split, so that the next start only looks
    at the size and the time of modification of each file; a change of any of them, or of the code,
    makes it parse anew. So does another value of any attribute that a subclass has (see
    :meth:`cache_key`), or of what :meth:`list_images` gives of an image. Where these cannot be
    compared with those of the next start, nothing is kept, and the log says why. The file lies in
    the user's cache folder, ``$XDG_CACHE_HOME/mmcrowd`` or ``~/.cache/mmcrowd``: nothing is ever
    written beside the data, unless ``cache_dir`` says so.

    **Memory.** MMEngine keeps the entries of all images in one NumPy array of bytes, which loader
    workers that are forked (the default) share with their parent.

    Args:
        data_root: Folder of the dataset as downloaded, or of a prepared copy.
        split: One of ``'train'``, ``'val'``, ``'trainval'``, ``'test'``.
        pipeline: Transforms, see :class:`mmengine.dataset.BaseDataset`.
        cache: Whether to keep the parsed annotations on disk. Default True.
        cache_dir: Folder for that. Default None, the user's cache folder.
        partition_stride: Input pixels per density cell, the ``out_stride`` of the counter's head:
            the pipeline then gets a :class:`PartitionByNearestPoint` before its last step, the
            packing. Default None, for a loss or a pipeline that sees to it.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`, but for
            ``data_prefix``: each dataset knows its own folders.

    Attributes:
        num_outside (int): How many points lay outside their image.

    Raises:
        FileNotFoundError: For a folder that is not laid out as the dataset is, showing the tree;
            for missing images or annotations.
        ValueError: For an unknown split, and for files that cannot be read or do not fit together.
            All problems of the split are in one error.
    """

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        pipeline: Sequence = (),
        cache: bool = True,
        cache_dir: str | None = None,
        partition_stride: int | None = None,
        **kwargs,
    ):
        if split not in SPLITS:
            raise ValueError(f'{type(self).__name__}: split={split!r}, expected one of {SPLITS}')
        if 'data_prefix' in kwargs:
            raise TypeError(f'{type(self).__name__} takes no data_prefix, only data_root')
        self.split = split
        folder = (cache_dir or user_cache_dir()) if cache else None
        self.cache_dir = None if folder is None else Path(folder)
        pipeline = list(pipeline)
        if partition_stride is not None:
            step = dict(type=PartitionByNearestPoint, stride=partition_stride)
            pipeline.insert(len(pipeline) - 1, step)
        # An image without people is a valid training image: nothing is ever filtered.
        super().__init__(data_root=data_root, pipeline=pipeline, **kwargs)

    @abstractmethod
    def list_images(self, problems: list[Exception]) -> list[dict]:
        """The images of the split, without opening any of them.

        Args:
            problems: To append what is wrong, such as an image without annotation; the dataset
                reports them together with those of the annotations. Whatever makes the list as a
                whole impossible is raised, see :meth:`require`.

        Returns:
            A dict for each image with ``img_path``, ``img_id``, ``ann_path`` (str, the file of its
            annotation; none if that is not published) and perhaps ``attributes``. What is there
            already as ``annotation`` is not read again, and told as of ``source``; nor is the
            ``size`` (h, w) in pixels. A number under ``num_points`` is compared with the number of
            points.
        """

    def read_annotation(self, info: dict) -> dict:
        """The annotation of one image, by default the one that :meth:`list_images` gave.

        Args:
            info: The image's entry from :meth:`list_images`.

        Returns:
            ``points`` and what belongs to them, as arrays or nested lists; an empty dict for an
            image without ``ann_path``. Points and boxes are checked by the caller.

        Raises:
            ValueError, OSError: To be reported; the message names the file.
            TypeError: If :meth:`list_images` gave none and a subclass does not override this.
        """
        if 'annotation' not in info:
            raise TypeError(
                f'{type(self).__name__}: list_images gave no annotation of {info["img_path"]}, so '
                'read_annotation has to be overridden'
            )
        return info['annotation']

    def cache_key(self) -> dict:
        """What the annotations depend on besides the files and the code.

        By default all attributes of the dataset but its pipeline and the like, and so whatever the
        constructor of a subclass has kept of its arguments. They must be plain data, see
        :func:`~mmcrowd.datasets.annotation_cache.encode_plain`, for the cache to be used. A
        subclass with an attribute of another kind, such as a parser, may leave it out here if the
        annotations do not depend on it.
        """
        return {key: value for key, value in vars(self).items() if key not in NOT_OF_ANNOTATIONS}

    def load_data_list(self) -> list[dict]:
        problems: list[Exception] = []
        data_list = self.gather(problems)
        if problems:
            self._report(problems)
        self._move_points_inside(data_list)
        return data_list

    def find_problems(self) -> list[Exception]:
        """What is wrong with the files of the split, whether or not the dataset was loaded.

        What :meth:`load_data_list` would raise for, in full and one by one. No image is decoded.
        """
        problems: list[Exception] = []
        try:
            self.gather(problems)
        except (ValueError, OSError) as problem:
            problems.append(problem)
        return problems

    def image_paths(self) -> list[str]:
        """The image files of the split; raises as :meth:`list_images` does."""
        return [info['img_path'] for info in self._list([])]

    def gather(self, problems: list[Exception]) -> list[dict]:
        """List the images, read their annotations or take them from the cache, and check them.

        Args:
            problems: To append what is wrong with single files.
        """
        data_list = self._list(problems)
        if not data_list and not problems:
            raise ValueError(
                f'{type(self).__name__}: no image in split {self.split!r} of {self.data_root!r}'
            )
        cache = None if self.cache_dir is None else self._open_cache(data_list)
        annotations = cache.load() if cache else None
        if annotations is None:
            annotations = [self._read(info, problems) for info in data_list]
            if cache and not problems:
                cache.save(annotations)
        for info, annotation in zip(data_list, annotations, strict=True):
            for key in ('annotation', 'source', 'split'):
                info.pop(key, None)
            info.update(annotation)
            wanted = info.pop('num_points', None)
            if wanted is not None and 'points' in annotation and len(info['points']) != wanted:
                problem = f'{info["ann_path"]}: {len(info["points"])} points, labelled as {wanted}'
                problems.append(ValueError(problem))
        return data_list

    def read_annotations(self, path: Path, problems: list[Exception]) -> list[dict]:
        """The images of the split in an annotation file of :class:`CrowdDataset`."""
        metainfo, data_list = read_annotations(path, self.data_root, problems)
        # As in MMEngine, what the config says goes before what the file says.
        self._metainfo = {**metainfo, **self._metainfo}
        data_list = self.select_given_split(data_list)
        check_unique([info['img_id'] for info in data_list], path, problems)
        return data_list

    def select_given_split(self, data_list: list[dict]) -> list[dict]:
        """The images of the split among all of an annotation file."""
        given = {info['split'] for info in data_list if 'split' in info}
        if not given:
            return self._select_split(data_list)
        if 'val' not in given and self.split != 'test':
            # An image without a split is for training.
            train = [info for info in data_list if info.get('split', 'train') == 'train']
            return self._select_split(train)
        wanted = ('train', 'val') if self.split == 'trainval' else (self.split,)
        return [info for info in data_list if info.get('split', 'train') in wanted]

    def require(self, *paths: Path) -> None:
        """Raise unless all of these files and folders exist, showing the tree of the dataset."""
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise self.wrong_root(f'no {" and no ".join(map(str, missing))}')

    def wrong_root(self, what: str) -> FileNotFoundError:
        """The error for a ``data_root`` that is not laid out as the dataset is."""
        tree = (inspect.getdoc(type(self)) or '').partition('::\n\n')[2].splitlines()
        tree = itertools.takewhile(lambda line: not line or line.startswith(' '), tree)
        return FileNotFoundError(
            f'{type(self).__name__}: {what}; data_root={self.data_root!r}, expected:\n\n'
            + '\n'.join(tree).rstrip()
            + ('' if self.ann_file else '\n\nor a copy by tools/dataset_converters/prepare.py')
        )

    def _join_prefix(self) -> None:
        """Each dataset lays out its own folders: there is no ``data_prefix`` to join."""

    def _select_split(self, paths: list) -> list:
        """The part of the official training list that belongs to ``self.split``."""
        if self.split in ('trainval', 'test'):
            return paths
        is_val = self.split == 'val'
        return [path for i, path in enumerate(paths) if (i % 10 == 9) == is_val]

    def _list(self, problems: list[Exception]) -> list[dict]:
        """The images of the split, from the folder as downloaded or from a prepared copy."""
        path = Path(self.data_root) / FILE_NAME
        if self.ann_file or not path.is_file():
            return self.list_images(problems)
        data_list = self.read_annotations(path, problems)
        prepared = self._metainfo.get('dataset_type')
        if prepared != type(self).__name__:
            raise ValueError(f'{path}: dataset_type={prepared!r}, expected {type(self).__name__!r}')
        return data_list

    def _open_cache(self, data_list: list[dict]) -> AnnotationCache | None:
        """The cache file of exactly these annotations, under a name of its own.

        None, after a line in the log, if something that they depend on cannot be compared with
        what it will be at the next start.
        """
        images = [info['img_path'] for info in data_list]
        annotations = [info.get('ann_path') for info in data_list]
        files = [path for path in dict.fromkeys(images + annotations) if path is not None]
        if self.ann_file:
            files.append(os.path.join(self.data_root, self.ann_file))
        try:
            code = self._code_files()
            paths = [path and os.path.abspath(path) for path in images + annotations + files]
            key = encode_plain([list(code), paths], 'files')
            key += encode_plain([_compared(info) for info in data_list], 'list_images()')
            key += encode_plain(self.cache_key(), 'cache_key()')
        except (TypeError, RecursionError) as error:
            MMLogger.get_current_instance().warning(
                printable(
                    f'{type(self).__name__}: the annotations are not cached, so every start parses '
                    f'them: {error}.'
                )
            )
            return None
        name = f'{type(self).__name__}-{self.split}-{hashlib.sha256(key).hexdigest()[:16]}'
        return AnnotationCache(self.cache_dir / name, [*files, *code.values()])

    def _code_files(self) -> dict[str, str]:
        """Files of the code that parses and of the one that writes, by class or function.

        Raises:
            TypeError: A class has its code in no file, or depends on the function that made it.
        """
        of_mmengine = {*BaseDataset.__mro__, ABC}
        files = {}
        parts = [part for part in type(self).__mro__ if part not in of_mmengine]
        for part in [*parts, read_image_shape, read_annotations, is_number, AnnotationCache]:
            path = getattr(sys.modules.get(part.__module__), '__file__', None)
            if path is None or not os.path.isfile(path) or '<locals>' in part.__qualname__:
                raise TypeError(
                    f'{part.__qualname__} of {part.__module__} is defined inside a function or in '
                    'no file, so a change of it could not be noticed'
                )
            files[f'{part.__module__}.{part.__qualname__}'] = path
        return files

    def _read(self, info: dict, problems: list[Exception]) -> dict[str, np.ndarray]:
        """Checked annotation of one image, and its ``size`` (h, w) from the header of the file."""
        annotation = {}
        source = info.get('source', info.get('ann_path', info['img_path']))
        try:
            # A copy of a benchmark has its annotations in the list too.
            reader = BaseCrowdDataset if 'annotation' in info else type(self)
            annotation = check_annotation(reader.read_annotation(self, info), source)
        except (ValueError, OSError) as problem:
            problems.append(problem)
        try:
            size = info['size'] if 'size' in info else read_image_shape(info['img_path'])
            annotation['size'] = np.array(size, np.int64)
        except (ValueError, OSError) as problem:
            problems.append(problem)
        return annotation

    def _report(self, problems: list[Exception]) -> None:
        """Raise one error for all problems: a FileNotFoundError if it is nothing but that."""
        only_missing = all(isinstance(problem, FileNotFoundError) for problem in problems)
        lines = [f'- {problem}' for problem in problems[:MAX_NAMED]]
        if len(problems) > MAX_NAMED:
            lines.append(f'- and {len(problems) - MAX_NAMED} more')
        raise (FileNotFoundError if only_missing else ValueError)(
            f'{type(self).__name__}: {len(problems)} problem{"s" if len(problems) > 1 else ""} in '
            f'split {self.split!r} of {self.data_root!r}:\n' + '\n'.join(lines)
        )

    def _move_points_inside(self, data_list: list[dict]) -> None:
        """Apply the rule for points outside their image, and tell how many there were."""
        outside, affected = 0, 0
        for info in data_list:
            info.setdefault('attributes', {})
            size = info.pop('size')
            if 'points' not in info:
                continue
            clipped = clip_points(info['points'], size)
            moved = int((clipped != info['points']).any(axis=1).sum())
            info['points'] = clipped
            outside += moved
            affected += moved > 0
        self.num_outside = outside
        if outside:
            MMLogger.get_current_instance().warning(
                f'{type(self).__name__} ({self.split}): {outside} points in {affected} images lie '
                'outside their image and were moved to the nearest pixel centre.'
            )


def _compared(info: dict) -> dict:
    """What a cache file depends on of an image's entry, besides its files."""
    dropped = {'img_path', 'ann_path', 'source'}
    if 'ann_path' in info:
        dropped.add('annotation')  # it changes with that file
    return {key: value for key, value in info.items() if key not in dropped}


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


def check_unique(ids: Sequence[str], source: str | Path, problems: list[Exception]) -> None:
    """Append a problem that names the ids which are there more than once, if any."""
    twice = [img_id for img_id, times in Counter(ids).items() if times > 1]
    if twice:
        named = twice[:MAX_NAMED]
        problems.append(
            ValueError(f'{source}: img_id must be unique, these {len(twice)} are not: {named}')
        )


def clip_points(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Move the points outside an image of ``shape = (h, w)`` to the nearest pixel centre."""
    height, width = shape
    size = np.array([width, height], np.float32)
    inside = (points >= -0.5) & (points < size - 0.5)
    return np.where(inside, points, np.clip(points, 0, size - 1)).astype(np.float32)


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Files of ``folder`` that match the regular expression, in natural order."""
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')
    files = (path for path in folder.iterdir() if re.fullmatch(pattern, path.name))
    return sorted(files, key=lambda path: natural_key(path.name))


def natural_key(text: str) -> list:
    """Key that sorts IMG_2 before IMG_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r'(\d+)', text)]


def pair_files(
    images: list[Path], annotations: dict[str, Path], folder: Path, problems: list[Exception]
) -> list[tuple[Path, Path]]:
    """Pairs (image, annotation) by image stem; a file without partner is a problem."""
    stems = {image.stem for image in images}
    check_partners(stems, annotations, 'images without annotation', folder, problems)
    check_partners(annotations, stems, 'annotations without image', folder, problems)
    return [(image, annotations[image.stem]) for image in images if image.stem in annotations]


def check_partners(ids, partners, what: str, source: Path, problems: list[Exception]) -> None:
    """Append a problem that names the ids which are not among ``partners``, if any."""
    missing = sorted(set(ids) - set(partners))
    if missing:
        named = missing[:MAX_NAMED]
        problems.append(FileNotFoundError(f'{source}: {len(missing)} {what} {named}'))


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without blanks around them and without empty lines at the end."""
    try:
        text = path.read_text(encoding='utf-8-sig')
        return [line.strip() for line in text.rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not a text file ({error})') from error


def load_mat(path: Path, key: str):
    """Variable ``key`` of a MATLAB file, or a ``ValueError`` that names file and key."""
    try:
        variables = loadmat(path)
    except Exception as error:  # of any kind: for a cut or damaged file scipy raises a dozen
        raise ValueError(f'{path}: not a readable MATLAB 5 file ({error})') from error
    if key not in variables:
        found = sorted(k for k in variables if not k.startswith('__'))
        raise ValueError(f'{path}: no variable {key!r}, found {found}')
    return variables[key]
