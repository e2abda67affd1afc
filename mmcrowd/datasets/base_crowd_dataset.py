import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmcrowd.fileio.images import read_image_shape
from mmcrowd.fileio.problems import Problems

from .annotation_cache import attributes_of, open_cache, user_cache_dir
from .annotation_checks import check_annotation, check_number, move_points_inside
from .annotation_json import ANNOTATION_FILE, read_annotation_file
from .benchmark_files import check_unique
from .image_entry import ImageEntry
from .splits import SPLITS, select_by_mark
from .transforms.partition import PartitionByNearestPoint


class BaseCrowdDataset(BaseDataset, ABC):
    """Base of the datasets that give one list of head positions for each image.

    A subclass implements :meth:`list_images` and, unless that gives the annotations too,
    :meth:`read_annotation`, and shows the folder tree of its files as :attr:`LAYOUT`. Each dataset
    also reads a copy that ``tools/dataset_converters/prepare.py`` has written, known by its
    ``annotations.json``. What :meth:`get_data_info` returns for an image has

    - ``img_path`` (str), ``img_id`` (str, unique in the split),
    - ``points``: float32 ``(m, 2)``, ``(x, y)`` in pixels of the original frame (the image after
      EXIF rotation), integer coordinates being pixel centres; there is no such key for an image
      whose annotation is not published,
    - where the benchmark gives them, other values for each point, see
      :mod:`mmcrowd.structures.point_fields`,
    - ``attributes`` (dict), the benchmark's labels of the image,
    - for a resized copy ``ori_shape``, (h, w) as downloaded; points are in pixels of the copy.

    **Splits.** Where a benchmark has no validation set of its own, its training images in natural
    order of their names are divided by position: every tenth (the 10th, 20th, ...) is ``'val'``,
    the others are ``'train'``, all of them are ``'trainval'``. Models are selected on ``'val'``;
    ``'test'`` is the official test set and is for reporting only.

    **Points outside their image** (outside ``-0.5 <= x < w - 0.5``) are moved to the nearest pixel
    centre, so that the count stays the annotated one; one warning per dataset says how many.

    **Cache.** The parsed annotations are kept in a file for each split in the user's cache folder,
    see :func:`~mmcrowd.datasets.annotation_cache.open_cache`; nothing is written beside the data.

    Args:
        data_root: Folder of the dataset as downloaded, or of a prepared copy.
        split: One of ``'train'``, ``'val'``, ``'trainval'``, ``'test'``.
        pipeline: Transforms, see :class:`mmengine.dataset.BaseDataset`.
        cache: Whether to keep the parsed annotations on disk. Defaults to True.
        cache_dir: Folder for that. Defaults to None, the user's cache folder.
        partition_stride: Input pixels per density cell, the ``out_stride`` of the counter's head:
            the pipeline then gets a :class:`PartitionByNearestPoint` before its last step, the
            packing. Defaults to None, for a loss or a pipeline that sees to it.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`, but for
            ``data_prefix``: each dataset knows its own folders.

    Attributes:
        LAYOUT: The folder tree of the files, for the error of a folder that is laid out otherwise.
        num_outside: How many points lay outside their image.

    Raises:
        FileNotFoundError: For a folder that is not laid out as the dataset is, showing the tree;
            for missing images or annotations.
        ValueError: For an unknown split, and, all in one error, for files that cannot be read or do
            not fit together.

    Examples:
        Images whose annotations are text files with a point ``x y`` in each line:

        >>> class PointFiles(BaseCrowdDataset):
        ...     def list_images(self, problems):
        ...         images = sorted(Path(self.data_root).glob('*.jpg'))
        ...         return [ImageEntry(str(i), i.stem, str(i.with_suffix('.txt'))) for i in images]
        ...     def read_annotation(self, entry):
        ...         return dict(points=np.loadtxt(entry.ann_path, ndmin=2))
    """

    LAYOUT = ''
    data_root: str

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
    def list_images(self, problems: Problems) -> Sequence[ImageEntry | Mapping]:
        """The images of the split, without opening any of them.

        Args:
            problems: To append what is wrong, such as an image without annotation. What makes the
                list as a whole impossible is raised, see :meth:`check_layout`.

        Returns:
            An entry for each image, or a mapping of its values.
        """

    def read_annotation(self, entry: ImageEntry) -> dict:
        """The annotation of one image, where :meth:`list_images` gave none.

        Returns:
            ``points`` and what belongs to them, as arrays or nested lists; an empty dict for an
            image whose annotation is not published. All of it is checked by the caller.

        Raises:
            ValueError, OSError: To be reported; the message names the file.
            TypeError: If a subclass does not override this.
        """
        raise TypeError(
            f'{type(self).__name__}: list_images gave no annotation of {entry.img_path}, so '
            'read_annotation has to be overridden'
        )

    def cache_key(self) -> dict:
        """What the annotations depend on besides the files and the code.

        By default all attributes but the pipeline and the like, and so whatever the constructor of
        a subclass has kept of its arguments. They must be plain data, see
        :func:`~mmcrowd.datasets.annotation_cache.encode_plain`, or the annotations are not cached.
        """
        return attributes_of(self)

    def load_data_list(self) -> list[dict]:
        """The entries of all images of the split, see :class:`mmengine.dataset.BaseDataset`."""
        name, problems = type(self).__name__, Problems()
        data_list = self.read_split(problems)
        where = f'in split {self.split!r} of {self.data_root!r}'
        problems.raise_if_any(f'{name}: {problems.counted} {where}')
        self.num_outside, affected = move_points_inside(data_list)
        if self.num_outside:
            MMLogger.get_current_instance().warning(
                f'{name} ({self.split}): {self.num_outside} points in {affected} images lie '
                'outside their image and were moved to the nearest pixel centre.'
            )
        return data_list

    def find_problems(self) -> list[Exception]:
        """All that :meth:`load_data_list` would raise for, one by one. No image is decoded."""
        problems = Problems()
        with problems.collect():
            self.read_split(problems)
        return list(problems)

    def image_paths(self) -> list[str]:
        """The image files of the split; raises as :meth:`list_images` does."""
        return [entry.img_path for entry in self.list_entries(Problems())]

    def read_split(self, problems: Problems) -> list[dict]:
        """Entries with the annotations as they are in the files, and the ``size`` (h, w)."""
        entries = self.list_entries(problems)
        if not entries and not problems:
            name = type(self).__name__
            raise ValueError(f'{name}: no image in split {self.split!r} of {self.data_root!r}')
        cache = open_cache(self, entries)
        annotations = cache.load() if cache else None
        if annotations is None:
            annotations = [self.read_entry(entry, problems) for entry in entries]
            if cache and not problems:
                cache.save(annotations)
        data_list = []
        for entry, annotation in zip(entries, annotations, strict=True):
            data_list.append(entry.to_data_info(annotation))
            with problems.collect():
                check_number(entry, annotation)
        return data_list

    def list_entries(self, problems: Problems) -> list[ImageEntry]:
        """The images of the split, from the folder as downloaded or from a prepared copy."""
        path = Path(self.data_root) / ANNOTATION_FILE
        # Without a folder (drawn crowds) a file of this name beside the caller is another's.
        if self.ann_file or not self.data_root or not path.is_file():
            return [ImageEntry.from_dict(given) for given in self.list_images(problems)]
        entries = self.list_from_file(path, problems)
        prepared = self._metainfo.get('dataset_type')
        if prepared != type(self).__name__:
            raise ValueError(f'{path}: dataset_type={prepared!r}, expected {type(self).__name__!r}')
        return entries

    def list_from_file(self, path: Path, problems: Problems) -> list[ImageEntry]:
        """The images of the split in an annotation file of :class:`CrowdDataset`."""
        metainfo, entries = read_annotation_file(path, self.data_root, problems)
        # As in MMEngine, what the config says goes before what the file says.
        self._metainfo = {**metainfo, **self._metainfo}
        entries = self.select_split(entries)
        check_unique([entry.img_id for entry in entries], path, problems)
        return entries

    def select_split(self, entries: list[ImageEntry]) -> list[ImageEntry]:
        """The images of the split among all of an annotation file."""
        return select_by_mark(entries, self.split)

    def read_entry(self, entry: ImageEntry, problems: Problems) -> dict[str, np.ndarray]:
        """Checked annotation of one image, and its ``size`` (h, w) from the header of the file."""
        annotation = {}
        with problems.collect():
            given = entry.annotation
            given = self.read_annotation(entry) if given is None else given
            annotation = check_annotation(given, entry.where())
        with problems.collect():
            size = entry.size or read_image_shape(entry.img_path)
            annotation['size'] = np.array(size, np.int64)
        return annotation

    def check_layout(self, *paths: Path) -> None:
        """Raise unless all of these files and folders exist, showing the tree of the dataset."""
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise self.wrong_root(f'no {" and no ".join(map(str, missing))}')

    def wrong_root(self, what: str) -> FileNotFoundError:
        """The error for a ``data_root`` that is not laid out as the dataset is."""
        tree = textwrap.indent(textwrap.dedent(self.LAYOUT).strip(), '    ')
        return FileNotFoundError(
            f'{type(self).__name__}: {what}; data_root={self.data_root!r}'
            + (f', expected:\n\n{tree}' if tree else '')
            + ('' if self.ann_file else '\n\nor a copy by tools/dataset_converters/prepare.py')
        )

    def _copy_without_annotation(self, memo: dict | None = None) -> 'BaseCrowdDataset':
        # MMEngine's default is one memo for all calls, where a transform passes for a dataset that
        # is gone and whose address it has.
        return super()._copy_without_annotation({} if memo is None else memo)

    def _join_prefix(self) -> None:
        """Each dataset lays out its own folders: there is no ``data_prefix`` to join."""
