"""Reading and writing whole files, and their names."""

import contextlib
import json
import os
import uuid
from pathlib import Path
from typing import Any


def read_json(path: str | Path) -> Any:
    """Content of a JSON file.

    Raises:
        ValueError: The file is no JSON, naming it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: not valid JSON ({error})') from error


def file_name(text: str) -> str:
    """A part of a file name that stands for this text and for no other, on every system.

    Letters, digits, ``_``, ``-`` and dots inside stay, so that plain ids stay readable; everything
    else, path separators among it, is written as in URLs, ``%`` and two digits for each byte of
    UTF-8. Names that differ in case only are one file on Windows and macOS.

    Examples:
        >>> file_name('IMG_12'), file_name('cam 1/0001.a'), file_name('..')
        ('IMG_12', 'cam%201%2F0001.a', '%2E%2E')
    """
    inside = range(1, len(text) - 1)
    return ''.join(
        char
        if char.isalnum() or char in '_-' or (char == '.' and i in inside)
        # Names of files that are not UTF-8 have surrogates.
        else ''.join(f'%{byte:02X}' for byte in char.encode('utf-8', 'surrogatepass'))
        for i, char in enumerate(text)
    )


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file that appears whole or not at all; its folder is made when needed.

    Args:
        path: The file.
        content: Bytes, or text to be written as UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{uuid.uuid4().hex}.partial')
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
