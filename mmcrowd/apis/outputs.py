"""Files of what is predicted, written image by image."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from mmcrowd.evaluation.formats import nwpu
from mmcrowd.fileio.files import file_name, printable, write_atomic

FORMATS = ('json', 'csv', 'nwpu')
COLUMNS = ('name', 'img_path', 'width', 'height', 'count', 'points', 'notes', 'zones')


class PredictionWriter:
    """Write predictions to a folder as they come, in constant memory.

    - ``'json'``: a file ``NAME.json`` for each image, the whole prediction.
    - ``'csv'``: ``counts.csv``, a row for each image: count, number of points, notes, and the
      zones of its prediction as JSON.
    - ``'nwpu'``: ``count.txt`` and ``loc.txt`` as the NWPU-Crowd benchmark takes them. The ids are
      the names as :func:`~mmcrowd.fileio.files.file_name` writes them.

    Args:
        folder: Folder of the files, made when needed; None to write nothing.
        formats: Any of these. Defaults to ``('json',)``.

    Raises:
        ValueError: An unknown format.
    """

    def __init__(self, folder: str | Path | None, formats: Sequence[str] = ('json',)):
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

    def write(self, prediction: dict[str, Any]) -> None:
        """Write one prediction.

        Args:
            prediction: As :class:`~mmcrowd.apis.CrowdInferencer` gives it.
        """
        if 'json' in self.formats:
            path = output_path(self.folder, prediction['name'], '.json')
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
