"""The parts of a job as one table, CSV or Parquet."""

import csv
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mmcrowd.apis.outputs import zones_text
from mmcrowd.fileio.files import printable, write_atomic

from .keys import KeySet
from .parts import ERRORS, RECORDS, SUCCESS, finished_count, records_of

FORMATS = ('csv', 'parquet')
COLUMNS = (
    *('path', 'member', 'size', 'mtime_ns', 'width', 'height'),
    *('count', 'points', 'notes', 'zones'),
)
_ROWS = 5_000  # of a Parquet file that are in memory


def write_tables(
    folder: str | Path, formats: Sequence[str], incomplete: bool = False
) -> dict[str, Any]:
    """Write what all shards have counted as ``counts.csv`` and ``counts.parquet``.

    Each file appears whole, or not at all; then ``_SUCCESS`` appears, with the summary as JSON. A
    shard that starts again removes it. The CSV has the number of points, Parquet their
    places; the zones are JSON in both.

    An image that was counted twice, by shards that could not see each other's locks, is in the
    table once. An image that was changed and counted again is in it twice, with two times of
    modification.

    In memory are 16 bytes for each image.

    Args:
        folder: Folder of the job.
        formats: Any of ``'csv'`` and ``'parquet'``; the latter needs pyarrow.
        incomplete: Write what there is of a job that has not ended, without ``_SUCCESS``. Defaults
            to False.

    Returns:
        ``images``, ``count``, the people in them, ``bad``, the images that could not be counted
        in any run, and ``duplicates``.

    Raises:
        FileNotFoundError: There are no parts.
        ImportError: pyarrow is not installed.
        ValueError: An unknown format, or the job has not ended.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f'format {unknown[0]!r}, expected any of {", ".join(FORMATS)}')
    folder = Path(folder)
    parts = sorted(path.name for path in folder.glob(f'{RECORDS}-*.jsonl'))
    if not parts:
        raise FileNotFoundError(f'{folder}: no parts of a job (part-*.jsonl)')
    is_finished = finished_count(folder) is not None
    if not (is_finished or incomplete):
        raise ValueError(
            f'{folder}: the job has not ended, not every shard has its summary-*.json; run the '
            'shards that are missing, or ask for an incomplete table (--incomplete)'
        )
    (folder / SUCCESS).unlink(missing_ok=True)
    numbers: dict[str, Any] = dict(images=0, count=0.0, bad=0, duplicates=0)
    known = KeySet()
    with ExitStack() as stack:
        writers = [stack.enter_context(_WRITERS[name](folder)) for name in formats]
        for record in merged(folder, known, numbers):
            for write in writers:
                write(record)
    for key, _ in records_of(folder, ERRORS):
        numbers['bad'] += known.add(key)
    if is_finished:
        write_atomic(folder / SUCCESS, json.dumps(numbers) + '\n')
    return numbers


def merged(folder: str | Path, known: KeySet, numbers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of all parts, each image once.

    Args:
        folder: Folder of the job.
        known: Gets the keys of the images.
        numbers: ``images``, ``count`` and ``duplicates`` are added to.
    """
    for key, record in records_of(folder, RECORDS):
        if known.add(key):
            numbers['images'] += 1
            numbers['count'] += record['count']
            yield record
        else:
            numbers['duplicates'] += 1


@contextmanager
def _renamed_when_done(path: Path) -> Iterator[Path]:
    """A temporary name, which becomes the path if the block ends well, and goes otherwise."""
    partial = path.with_name(f'{path.name}.{uuid.uuid4().hex}.partial')
    try:
        yield partial
        with open(partial, 'r+b') as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _csv_writer(folder: Path):
    with (
        _renamed_when_done(folder / 'counts.csv') as path,
        path.open('w', encoding='utf-8', newline='') as file,
    ):
        table = csv.writer(file)
        table.writerow(COLUMNS)

        def write(record: dict[str, Any]) -> None:
            number = len(record['points']) if 'points' in record else None
            row = dict(
                record, points=number, notes='; '.join(record['notes']), zones=zones_text(record)
            )
            values = (row[name] for name in COLUMNS)
            table.writerow([printable(v) if isinstance(v, str) else v for v in values])

        yield write


@contextmanager
def _parquet_writer(folder: Path):
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ImportError('Parquet needs pyarrow: run `pip install pyarrow`') from None
    point = pa.struct([(name, pa.float64()) for name in ('x', 'y', 'score')])
    schema = pa.schema(
        [
            ('key', pa.string()),
            ('path', pa.string()),
            ('member', pa.string()),
            ('size', pa.int64()),
            ('mtime_ns', pa.int64()),
            ('width', pa.int32()),
            ('height', pa.int32()),
            ('count', pa.float64()),
            ('points', pa.list_(point)),
            ('notes', pa.list_(pa.string())),
            ('zones', pa.string()),
        ]
    )
    rows: list[dict[str, Any]] = []
    with (
        _renamed_when_done(folder / 'counts.parquet') as path,
        parquet.ParquetWriter(path, schema, compression='zstd') as file,
    ):

        def flush() -> None:
            file.write_table(pa.Table.from_pylist(rows, schema))
            rows.clear()

        def write(record: dict[str, Any]) -> None:
            rows.append(_parquet_row(record))
            if len(rows) == _ROWS:
                flush()

        yield write
        flush()


def _parquet_row(record: dict[str, Any]) -> dict[str, Any]:
    points = None
    if 'points' in record:
        pairs = zip(record['points'], record['scores'], strict=True)
        points = [dict(x=x, y=y, score=score) for (x, y), score in pairs]
    zones = zones_text(record) or None
    texts = {key: printable(v) for key, v in record.items() if isinstance(v, str)}
    return dict(record, points=points, zones=zones) | texts


_WRITERS = dict(csv=_csv_writer, parquet=_parquet_writer)
