"""Files of JSON lines that grow record by record, and survive a writer that is killed."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 2**16


class JsonLinesWriter:
    r"""Append records to a file, each as a whole line by one write.

    A line without its end, which a process that was killed has left, is cut off when the file is
    opened. What is written is in the file when :meth:`write` returns, so that a process that is
    killed loses nothing of it; a machine that stops loses no more than what was written since the
    last ``fsync``. A disk that is full leaves no part of a line.

    Args:
        path: The file, made when needed; its folder is there. No other process may write to it.
        sync_seconds: A write later than so many seconds after the last ``fsync`` makes one, and so
            does :meth:`close`. Defaults to 5.

    Attributes:
        cut: Bytes of the broken line that were cut off.

    Raises:
        OSError: The file cannot be written, naming it.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), 'records.jsonl')
        >>> _ = path.write_text('{"k": 1}\n{"k"')
        >>> with JsonLinesWriter(path) as writer:
        ...     writer.write({'k': 2})
        >>> writer.cut, path.read_text()
        (4, '{"k": 1}\n{"k": 2}\n')
    """

    def __init__(self, path: str | Path, sync_seconds: float = 5.0):
        self.path = Path(path)
        self.sync_seconds = sync_seconds
        self.cut = repair_lines(self.path) if self.path.exists() else 0
        # Without a buffer each write is one call of the system.
        self._file = open(self.path, 'ab', buffering=0)  # noqa: SIM115
        self._end = os.fstat(self._file.fileno()).st_size
        self._synced = time.monotonic()

    def __enter__(self) -> 'JsonLinesWriter':
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def write(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            OSError: It cannot be written, naming the file, which then ends as before.
            ValueError: A number in it is not finite.
        """
        line = json.dumps(record, allow_nan=False).encode() + b'\n'
        rest = line
        try:
            while rest:  # a disk that fills up takes a part first, and then refuses the rest
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self._end)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._end += len(line)
        if time.monotonic() - self._synced >= self.sync_seconds:
            self.sync()

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        if not self._file.closed:
            self.sync()
            self._file.close()


def repair_lines(path: str | Path) -> int:
    """Cut off what follows the last end of a line.

    Returns:
        Bytes that were cut off.
    """
    with open(path, 'r+b') as file:
        end = kept = file.seek(0, os.SEEK_END)
        while kept > 0:
            start = max(0, kept - _BLOCK)
            file.seek(start)
            found = file.read(kept - start).rfind(b'\n')
            if found >= 0:
                kept = start + found + 1
                break
            kept = start
        if kept < end:
            file.truncate(kept)
    return end - kept


def whole_lines(path: str | Path) -> Iterator[bytes]:
    """The lines of a file, one in memory at a time, without a last one that has no end."""
    with open(path, 'rb') as file:
        for line in file:
            if line.endswith(b'\n'):
                yield line
