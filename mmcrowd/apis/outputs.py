"""Files of what is predicted, written image by image."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from mmcrowd.evaluation.formats import nwpu
from mmcrowd.fileio.files import file_name, printable, read_json, write_atomic

from .inputs import Photo

# The formats, each with the tables that it has for all images together.
FORMATS = {'json': (), 'csv': ('counts.csv',), 'nwpu': ('count.txt', 'loc.txt')}
COLUMNS = ('name', 'img_path', 'width', 'height', 'count', 'points', 'notes', 'zones', 'model')


class PredictionWriter:
    """Write predictions to a folder as they come, in constant memory.

    - ``'json'``: a file ``NAME.json`` for each image, the whole prediction.
    - ``'csv'``: ``counts.csv``, a row for each image: count, number of points, notes, the zones of
      its prediction as JSON, and the model.
    - ``'nwpu'``: ``count.txt`` and ``loc.txt`` as the NWPU-Crowd benchmark takes them. The ids are
      the names as :func:`~mmcrowd.fileio.files.file_name` writes them.

    Args:
        folder: Folder of the files, made when needed; None to write nothing.
        formats: Any of these. Defaults to None, ``('json',)``.

    Raises:
        ValueError: An unknown format, or formats without a folder.
    """

    def __init__(self, folder: str | Path | None, formats: str | Sequence[str] | None = None):
        if folder is None and formats:
            raise ValueError(
                f'pred_formats={formats!r} without a folder for the files: name it by pred_out_dir '
                '(--out-dir)'
            )
        formats = ['json'] if formats is None else formats
        formats = [formats] if isinstance(formats, str) else list(formats)
        unknown = [name for name in formats if name not in FORMATS]
        if unknown:
            raise ValueError(f'format {unknown[0]!r}, expected any of {", ".join(FORMATS)}')
        self.folder = None if folder is None else Path(folder)
        self.formats = formats if folder is not None else []
        self._stack = ExitStack()
        self._files: dict[str, TextIO] = {}

    def __enter__(self) -> 'PredictionWriter':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def paths(self, name: str) -> list[Path]:
        """The files that the prediction of an image of this name is written to."""
        tables = [output_path(self.folder, t, '') for f in self.formats for t in FORMATS[f]]
        return [self._json_path(name), *tables] if 'json' in self.formats else tables

    def _json_path(self, name: str) -> Path:
        return output_path(self.folder, name, '.json')

    def write(self, prediction: dict[str, Any]) -> None:
        """Write one prediction.

        Args:
            prediction: As :class:`~mmcrowd.apis.CrowdInferencer` gives it.
        """
        if 'json' in self.formats:
            path = self._json_path(prediction['name'])
            write_atomic(path, json.dumps(prediction, ensure_ascii=False))
        if 'csv' in self.formats:
            csv.writer(self._open('counts.csv', COLUMNS)).writerow(csv_row(prediction))
        if 'nwpu' in self.formats:
            img_id = file_name(prediction['name'])
            points = np.asarray(prediction['points'], np.float64).reshape(-1, 2)
            self._open('count.txt').write(nwpu.count_line(img_id, prediction['count']))
            self._open('loc.txt').write(nwpu.points_line(img_id, points))

    def _open(self, name: str, header: Sequence[str] = ()) -> TextIO:
        if name not in self._files:
            assert self.folder is not None
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / name
            file = path.open('w', encoding='utf-8', errors='backslashreplace', newline='')
            self._stack.enter_context(file)
            self._files[name] = file
            if header:
                csv.writer(file).writerow(header)
        return self._files[name]


def csv_row(prediction: dict[str, Any]) -> list[Any]:
    """The values of :data:`COLUMNS` for one prediction."""
    return [
        printable(str(prediction['name'])),
        printable(prediction['img_path'] or ''),
        prediction['width'],
        prediction['height'],
        prediction['count'],
        len(prediction['points']),
        printable('; '.join(prediction['notes'])),
        zones_text(prediction),
        printable(prediction.get('model', '')),
    ]


def zones_text(prediction: Mapping[str, Any]) -> str:
    """The zones of a prediction as JSON in one cell of a table; empty without zones."""
    if 'zones' not in prediction:
        return ''
    return printable(json.dumps(prediction['zones'], ensure_ascii=False))


def output_path(folder: str | os.PathLike | None, name: str, ending: str) -> Path:
    """File of an image in a folder of results; the parts of its name are folders there.

    Examples:
        >>> output_path('out', 'gate/IMG 1', '.json').as_posix()
        'out/gate/IMG 1.json'
    """
    # Names come from lists of folders, but a URL may call itself anything.
    parts = [part for part in name.split('/') if part not in ('', '.', '..')]
    return Path(folder or '.', *parts[:-1], f'{parts[-1]}{ending}')


def refuse_inputs(
    photos: Callable[[], Iterable[Photo]], paths: Callable[[str], Iterable[Path]]
) -> None:
    """Refuse a run whose results would be written over one of its own images.

    Two paths are one file if the system says so, whatever links lead there.

    Args:
        photos: Function that lists the images.
        paths: Function that gives the files of the results for the name of an image.

    Raises:
        ValueError: One of these files is an image of the run.
    """
    there = {}
    for photo in photos():
        for path in paths(photo.name):
            if (file := _file_of(path)) is not None:
                there[file] = path
    if not there:  # as in a fresh folder
        return
    for photo in photos():
        if (file := _file_of(photo.path)) in there:
            raise ValueError(_over_input(there[file], photo))


def refuse_replacing(photo: Photo, paths: Iterable[Path]) -> None:
    """Refuse to write results over the image itself, or over JSON files of others.

    Args:
        photo: The image, or a video.
        paths: The files of its results.

    Raises:
        ValueError: One of these files is the image, or ``NAME.json`` is there and is no prediction.
    """
    own = _file_of(photo.path)
    for path in paths:
        there = _file_of(path)
        if there is not None and there == own:
            raise ValueError(_over_input(path, photo))
        if there is not None and path.suffix == '.json' and not _is_prediction(path):
            raise ValueError(
                f'{path}: is there and is no prediction of mmcrowd, so it is not replaced; name '
                'another folder for the results (--out-dir)'
            )


def _file_of(path: str | os.PathLike | None) -> tuple[int, int] | None:
    """What a file is to the system, the same by every path that leads to it; None without one."""
    try:
        status = None if path is None else os.stat(path)
    except (OSError, ValueError):  # not there, or a URL
        return None
    return None if status is None else (status.st_dev, status.st_ino)


def _over_input(path: Path, photo: Photo) -> str:
    return (
        f'{path}: the results of this run would be written over its own input {photo.path}; name '
        'another folder for them (--out-dir)'
    )


def _is_prediction(path: Path) -> bool:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(content, Mapping) and {'name', 'count', 'points'} <= content.keys()
