"""The folder of a job: what each shard has written, and who may write now."""

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mmcrowd.fileio.files import read_json, write_atomic
from mmcrowd.fileio.json_lines import JsonLinesWriter, whole_lines

from .keys import KEY_BYTES, KeySet, shard_of_key

RECORDS, ERRORS, SUMMARY = 'part', 'errors', 'summary'
SUCCESS = '_SUCCESS'
JOB = 'job.json'
# Each line begins with the key, so that it is found without reading the rest.
_HEAD = b'{"key": "'
_KEY = slice(len(_HEAD), len(_HEAD) + 2 * KEY_BYTES)
_NAME = re.compile(r'(?:part|errors|summary)-(\d{5,})-of-(\d{5,})\.jsonl?')
# A process that starts looks for an instant whether the others are locked.
_PATIENCE = 2.0  # seconds


class ShardFiles:
    """What one shard of a job writes, ``part-00000-of-00002.jsonl`` and its like.

    Entering it takes the lock of the part; it is refused while another process writes to the same
    part, or to one of another number of shards, which would count some of the same images. The
    lock is one of the operating system (:mod:`filelock`), which a killed process does not keep. On
    NFS it holds between machines if the server and the mount have locks (NFS 4, or ``lockd``;
    not ``nolock``); without them nobody is refused, and an image that was counted twice
    is in two parts, of which :func:`~mmcrowd.apis.jobs.tables.merged` takes one.

    Args:
        folder: Folder of the job, made when needed.
        index: Number of the shard, from 0.
        count: Number of shards.
        sync_seconds: See :class:`~mmcrowd.fileio.json_lines.JsonLinesWriter`. Defaults to 5.

    Attributes:
        cut: Bytes of broken last lines, left by a process that was killed, that were cut off.

    Raises:
        RuntimeError: Another process writes.
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: str | Path, index: int, count: int, sync_seconds: float = 5.0):
        self.folder = Path(folder)
        self.index, self.count = index, count
        self.sync_seconds = sync_seconds
        self._lock = FileLock(self._lock_of(f'{index:05d}-of-{count:05d}'))

    def __enter__(self) -> 'ShardFiles':
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=_PATIENCE)
        except Timeout:
            raise RuntimeError(
                f'{self.path(RECORDS)}: another process writes to it; wait for its end, or end it'
            ) from None
        try:
            # The own lock comes first: of two that start together at least one sees the other.
            self._refuse_other_counts()
            # What is said of a job that has ended is no longer so.
            (self.folder / SUCCESS).unlink(missing_ok=True)
            for path in self.folder.glob(f'{SUMMARY}-*.json'):
                if path == self.path(SUMMARY) or _shard_in(path)[1] != self.count:
                    path.unlink(missing_ok=True)
            self._records = JsonLinesWriter(self.path(RECORDS), self.sync_seconds)
            self._errors = JsonLinesWriter(self.path(ERRORS), self.sync_seconds)
        except BaseException:
            self._lock.release()
            raise
        self.cut = self._records.cut + self._errors.cut
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._records.close()
            self._errors.close()
        finally:
            self._lock.release()

    def path(self, kind: str) -> Path:
        """File of the shard: ``'part'``, ``'errors'`` or ``'summary'``."""
        ending = 'json' if kind == SUMMARY else 'jsonl'
        return self.folder / f'{kind}-{self.index:05d}-of-{self.count:05d}.{ending}'

    def _lock_of(self, shard: str) -> str:
        return str(self.folder / f'.part-{shard}.lock')

    def _refuse_other_counts(self) -> None:
        for path in self.folder.glob(f'{RECORDS}-*.jsonl'):
            index, count = _shard_in(path)
            if count == self.count:
                continue
            lock = FileLock(self._lock_of(f'{index:05d}-of-{count:05d}'))
            try:
                with lock.acquire(timeout=0):
                    pass
            except Timeout:
                raise RuntimeError(
                    f'{path}: a process writes to it, shard {index} of {count}, and would count '
                    f'some images of shard {self.index} of {self.count}; wait for its end, or end '
                    'it'
                ) from None

    def keys(self, kind: str) -> KeySet:
        """Keys of this shard's images that the parts of all numbers of shards have.

        Args:
            kind: ``'part'`` for what was counted, ``'errors'`` for what could not be.
        """
        keys = KeySet()
        for path in sorted(self.folder.glob(f'{kind}-*.jsonl')):
            index, count = _shard_in(path)
            if count == self.count and index != self.index:
                continue  # it has none of this shard
            for line in _record_lines(path):
                key = bytes.fromhex(line[_KEY].decode())
                if shard_of_key(key, self.count) == self.index:
                    keys.add(key)
        return keys

    def write(self, key: bytes, record: dict[str, Any]) -> None:
        """Write the record of an image that was counted."""
        self._records.write(dict(key=key.hex(), **record))

    def write_error(self, key: bytes, record: dict[str, Any]) -> None:
        """Write the record of an image that could not be counted."""
        self._errors.write(dict(key=key.hex(), **record))

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary, which says that the shard has seen all of its images."""
        self._records.sync()
        self._errors.sync()
        write_atomic(self.path(SUMMARY), json.dumps(summary, indent=1) + '\n')


def check_settings(folder: str | Path, settings: dict[str, Any]) -> None:
    """Refuse to mix answers: all parts in a folder have the settings that the first one had.

    They are in ``job.json``, written by whoever comes first.

    Raises:
        ValueError: A setting differs, naming it and both values.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOB
    with FileLock(str(folder / f'.{JOB}.lock')):
        if not path.exists():
            write_atomic(path, json.dumps(settings, indent=1) + '\n')
            return
    before = read_json(path)
    for name in sorted({*settings, *before}):
        if before.get(name) != settings.get(name):
            raise ValueError(
                f'{path}: {name} is {before.get(name)!r} there and {settings.get(name)!r} now; '
                'take another output folder, or the same setting'
            )


def finished_count(folder: str | Path) -> int | None:
    """The number of shards of the job that has ended in a folder; None if none has."""
    found: dict[int, set[int]] = {}
    for path in Path(folder).glob(f'{SUMMARY}-*.json'):
        index, count = _shard_in(path)
        found.setdefault(count, set()).add(index)
    done = [count for count, shards in found.items() if shards >= set(range(count))]
    return max(done, default=None)


def records_of(folder: str | Path, kind: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """All records of all parts with their keys, in the order of the files."""
    for path in sorted(Path(folder).glob(f'{kind}-*.jsonl')):
        for line in _record_lines(path):
            yield bytes.fromhex(line[_KEY].decode()), json.loads(line)


def _shard_in(path: Path) -> tuple[int, int]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f'{path}: no name of a part; expected such as part-00000-of-00002.jsonl')
    return int(match[1]), int(match[2])


def _record_lines(path: Path) -> Iterator[bytes]:
    bad = 0
    for line in whole_lines(path):
        # After a power failure a part of the file may be zeros.
        if line.startswith(_HEAD) and line.endswith(b'}\n') and _is_hex(line[_KEY]):
            yield line
        else:
            bad += 1
    if bad:
        warnings.warn(
            f'{path}: {bad} lines are no records and are left out; their images are counted again',
            stacklevel=2,
        )


def _is_hex(text: bytes) -> bool:
    return len(text) == 2 * KEY_BYTES and not text.strip(b'0123456789abcdef')
