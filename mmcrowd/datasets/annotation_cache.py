import dataclasses
import hashlib
import io
import json
import os
import re
import sys
from abc import ABC
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger

from mmcrowd.fileio.files import printable, write_atomic
from mmcrowd.fileio.images import read_image_shape
from mmcrowd.fileio.numerals import is_number

from .annotation_checks import check_annotation
from .annotation_json import read_annotation_file
from .benchmark_files import load_mat
from .image_entry import ImageEntry

# What lists and parses, besides the classes of a dataset.
PARSERS = (read_annotation_file, load_mat, is_number, check_annotation, read_image_shape)

# Attributes that no annotation depends on, or that the files of the images stand for already.
NOT_OF_ANNOTATIONS = frozenset(
    [
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
    ]
)

DIGEST_SIZE = hashlib.sha256().digest_size


class AnnotationCache:
    """A file with the parsed annotations of one list of images, for a fast second start.

    What was parsed counts as current as long as all of ``sources`` have the sizes and the times of
    modification that they had then; otherwise :meth:`load` returns None. So it does for a file that
    is damaged or cannot be read, after a line in the log: a cache is never an error.

    The file appears whole or not at all, so any number of runs may start at once: each of them
    writes the same content. Of a distributed run the first process of each machine writes, since a
    machine may have a cache folder of its own. The file holds plain arrays, no pickled objects, and
    a checksum of itself.

    Args:
        path: The file; its folder is made when needed.
        sources: All files that the annotations depend on, the code that parses them included.
    """

    def __init__(self, path: str | Path, sources: Iterable[str | Path]):
        self.path = Path(path)
        # Taken before anything is parsed: a change from now on makes the file outdated.
        states = [_state(source) for source in sources]
        self._fingerprint = hashlib.sha256(json.dumps(states).encode()).digest()

    def load(self) -> list[dict[str, np.ndarray]] | None:
        """What :meth:`save` was given, or None if it is not there or not current."""
        logger = MMLogger.get_current_instance()
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning(printable(f'Cannot read the annotation cache ({error}).'))
            return None
        checksum, content = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        if hashlib.sha256(content).digest() != checksum:
            logger.warning(printable(f'The annotation cache {self.path} is damaged: parsing anew.'))
            return None
        if content[:DIGEST_SIZE] != self._fingerprint:
            logger.info(
                printable(f'Files have changed since {self.path} was written: parsing anew.')
            )
            return None
        with np.load(io.BytesIO(content[DIGEST_SIZE:]), allow_pickle=False) as arrays:
            return _unpack(dict(arrays))

    def save(self, annotations: Sequence[dict[str, np.ndarray]]) -> None:
        """Write the annotations of all images: a dict of arrays for each, one dtype for each key.

        Where nothing can be written, a line in the log says so.
        """
        if os.environ.get('LOCAL_RANK', '0') != '0':
            return
        buffer = io.BytesIO()
        np.savez(buffer, **_pack(annotations))
        content = self._fingerprint + buffer.getvalue()
        try:
            write_atomic(self.path, hashlib.sha256(content).digest() + content)
        except OSError as error:
            MMLogger.get_current_instance().warning(
                printable(
                    f'Cannot write the annotation cache ({error}): the next start will parse '
                    'anew. Choose another cache_dir, or say cache=False.'
                )
            )


def open_cache(dataset: BaseDataset, entries: Sequence[ImageEntry]) -> AnnotationCache | None:
    """The cache file of the annotations of a dataset's split, under a name of its own.

    The name depends on all that the annotations depend on besides the content of files: the paths
    of images and annotations, what the list of the images says of them, and the attributes of the
    dataset. The file is outdated by a change of any of these files, or of the code that lists and
    parses.

    Args:
        dataset: The dataset, a :class:`~mmcrowd.datasets.BaseCrowdDataset`.
        entries: The images of its split.

    Returns:
        None if the dataset has no ``cache_dir``. None, after a line in the log, if something that
        the annotations depend on cannot be compared with what it will be at the next start, see
        :func:`encode_plain` and :func:`code_files`.
    """
    if dataset.cache_dir is None:
        return None
    name = type(dataset).__name__
    images = [entry.img_path for entry in entries]
    annotations = [entry.ann_path for entry in entries]
    files = [path for path in dict.fromkeys([*images, *annotations]) if path is not None]
    if dataset.ann_file:
        files.append(os.path.join(dataset.data_root, dataset.ann_file))
    paths = [path and os.path.abspath(path) for path in [*images, *annotations, *files]]
    not_ours = {*BaseDataset.__mro__, ABC}
    classes = [one for one in type(dataset).__mro__ if one not in not_ours]
    try:
        code = code_files([*classes, *PARSERS, AnnotationCache])
        key = encode_plain([list(code), paths], 'files')
        key += encode_plain([entry.to_cache_key() for entry in entries], 'list_images()')
        key += encode_plain(dataset.cache_key(), 'cache_key()')
    except (TypeError, RecursionError) as error:
        MMLogger.get_current_instance().warning(
            printable(
                f'{name}: the annotations are not cached, so every start parses them: {error}.'
            )
        )
        return None
    path = f'{name}-{dataset.split}-{hashlib.sha256(key).hexdigest()[:16]}'
    return AnnotationCache(dataset.cache_dir / path, [*files, *code.values()])


def attributes_of(dataset: BaseDataset) -> dict[str, Any]:
    """The attributes of a dataset on which its annotations may depend."""
    return {key: value for key, value in vars(dataset).items() if key not in NOT_OF_ANNOTATIONS}


def code_files(code: Iterable[type | Callable]) -> dict[str, str]:
    """The file of the code of each class or function, by its full name.

    Raises:
        TypeError: One has its code in no file, or depends on the function that made it.
    """
    files = {}
    for part in code:
        path = getattr(sys.modules.get(part.__module__), '__file__', None)
        if path is None or not os.path.isfile(path) or '<locals>' in part.__qualname__:
            raise TypeError(
                f'{part.__qualname__} of {part.__module__} is defined inside a function or in '
                'no file, so a change of it could not be noticed'
            )
        files[f'{part.__module__}.{part.__qualname__}'] = path
    return files


def user_cache_dir() -> Path | None:
    """``$XDG_CACHE_HOME/mmcrowd/annotations``, by default below ``~/.cache``; None without home."""
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(home, 'mmcrowd', 'annotations') if os.path.isabs(home) else None


def encode_plain(value: Any, where: str) -> bytes:
    """Bytes that are the same for equal plain data in every process, and others for other data.

    Plain data are None, numbers, text, bytes, paths, patterns, ranges, NumPy arrays without
    objects, and lists, tuples, sets, mappings, dataclasses and enumerations of plain data. A list
    and a tuple of the same values are equal; the order of a mapping counts.

    Args:
        value: The data.
        where: Their name, for the message.

    Raises:
        TypeError: Something is no plain data, naming it and its place.
    """
    parts: list[bytes] = []
    if isinstance(value, Enum):
        kind, parts = type(value).__qualname__, [encode_plain(value.value, where)]
    elif isinstance(value, str):
        kind, parts = 'text', [value.encode('utf-8', 'surrogatepass')]
    elif isinstance(value, (bytes, bytearray)):
        kind, parts = 'bytes', [bytes(value)]
    elif isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        dtype = value.dtype.descr if value.dtype.names else value.dtype.str
        kind, parts = f'array {value.shape} {dtype}', [value.tobytes()]
    elif value is None or isinstance(value, (int, float, complex, range)):
        kind = repr(value)
    elif isinstance(value, PurePath):
        kind, parts = 'path', [str(value).encode('utf-8', 'surrogatepass')]
    elif isinstance(value, re.Pattern):
        kind, parts = f'pattern {value.flags}', [encode_plain(value.pattern, where)]
    elif isinstance(value, Mapping):
        kind = 'mapping'
        for key, one in value.items():
            parts += [encode_plain(key, where), encode_plain(one, f'{where}[{key!r}]')]
    elif isinstance(value, (list, tuple)):
        kind = 'list'
        parts = [encode_plain(one, f'{where}[{i}]') for i, one in enumerate(value)]
    elif isinstance(value, (set, frozenset)):
        kind, parts = 'set', sorted(encode_plain(one, where) for one in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        kind, parts = type(value).__qualname__, [encode_plain(fields, where)]
    else:
        raise TypeError(f'{where} is {value!r:.80}, of {type(value)}, no plain data')
    sizes = ' '.join(str(len(part)) for part in parts)
    return b''.join((f'{kind}; {sizes}: '.encode(), *parts))


def _state(path: str | Path) -> tuple[str, int, int]:
    """Name, size and time of modification; size -1 for a file that is not there."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # a ValueError for what cannot be the name of a file
        return Path(path).name, -1, 0
    return Path(path).name, stat.st_size, stat.st_mtime_ns


def _pack(annotations: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """For each key the rows of all images, and how many each image has (-1: has no such key)."""
    arrays = {}
    for key in sorted({key for annotation in annotations for key in annotation}):
        given = [annotation.get(key) for annotation in annotations]
        rows = [-1 if values is None else len(values) for values in given]
        arrays[f'{key}.rows'] = np.array(rows, np.int64)
        arrays[f'{key}.values'] = np.concatenate([v for v in given if v is not None])
    return arrays


def _unpack(arrays: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    keys = [name.removesuffix('.rows') for name in arrays if name.endswith('.rows')]
    annotations = [{} for _ in arrays[f'{keys[0]}.rows']]
    for key in keys:
        rows, values = arrays[f'{key}.rows'], arrays[f'{key}.values']
        ends = np.cumsum(np.maximum(rows, 0))
        for annotation, length, end in zip(annotations, rows.tolist(), ends.tolist(), strict=True):
            if length >= 0:
                annotation[key] = values[end - length : end]
    return annotations
