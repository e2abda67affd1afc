"""Reading and writing whole files."""

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
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not valid JSON ({error})') from error


def printable(text: str) -> str:
    r"""The text with an escape, such as ``\udce9``, for what UTF-8 cannot encode.

    That is in the names of files that are not UTF-8 (Latin-1, on Linux): printing one, or writing
    it into a log or a page, would be an error.
    """
    return text.encode('utf-8', 'backslashreplace').decode()


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file that appears whole or not at all; its folder is made when needed.

    Args:
        path: The file.
        content: Bytes, or text to be written as UTF-8, see :func:`printable`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{uuid.uuid4().hex}.partial')
    try:
        partial.write_bytes(printable(content).encode() if isinstance(content, str) else content)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
