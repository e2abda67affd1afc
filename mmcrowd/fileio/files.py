"""Files: whole ones read and written, trees of them listed, and what may be their names."""

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

# Windows has them in no name; the percent sign begins what stands for them.
FORBIDDEN = '%<>:"/\\|?*'

# How the name of a file ends that is being written.
PARTIAL = '.partial'


def read_json(path: str | Path) -> Any:
    """Content of a JSON file.

    Raises:
        ValueError: The file is no JSON, naming it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not valid JSON ({error})') from error


def file_name(text: str, one_word: bool = True) -> str:
    """A part of a file name that stands for this text and for no other, on every system.

    Letters, digits, ``_``, ``-`` and dots inside stay, so that plain ids stay readable; everything
    else, path separators among it, is written as in URLs, ``%`` and two digits for each byte of
    UTF-8. Names that differ in case only are one file on Windows and macOS.

    Args:
        text: The text.
        one_word: Write blanks and punctuation so, too. Otherwise only what a file system forbids
            somewhere. Defaults to True.

    Examples:
        >>> file_name('IMG_12'), file_name('cam 1/0001.a'), file_name('..')
        ('IMG_12', 'cam%201%2F0001.a', '%2E%2E')
        >>> file_name('cam 1/0001 (a)', one_word=False)
        'cam 1%2F0001 (a)'
    """
    ends = (0, len(text) - 1)

    def stays(i: int, char: str) -> bool:
        if char in '. ':  # Windows drops them at the end
            return i not in ends and (char == '.' or not one_word)
        if one_word:
            return char.isalnum() or char in '_-'
        return char.isprintable() and char not in FORBIDDEN

    return ''.join(
        char
        if stays(i, char)
        # Names of files that are not UTF-8 have surrogates.
        else ''.join(f'%{byte:02X}' for byte in char.encode('utf-8', 'surrogatepass'))
        for i, char in enumerate(text)
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no data: ``.thumbs``, ``._IMG_1.jpg`` (which macOS
    writes beside a file), ``__MACOSX`` (into zip archives)."""
    return name.startswith('.') or name == '__MACOSX'


def list_tree(folder: str | Path) -> list[Path]:
    """All files below a folder, but for what is hidden there, see :func:`is_hidden`.

    Links to folders are followed. Each folder is read once, by whatever path it is reached first,
    so that links in a circle do no harm.

    Raises:
        OSError: A folder cannot be read.
    """

    def refuse(error: OSError):
        raise error

    files, seen = [], {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        entered = []
        # Links last: a folder goes by its own name if it has one here.
        for name in sorted(folders, key=lambda n: (os.path.islink(os.path.join(parent, n)), n)):
            target = os.path.realpath(os.path.join(parent, name))
            if not is_hidden(name) and target not in seen:
                seen.add(target)
                entered.append(name)
        folders[:] = entered
        paths = (Path(parent, name) for name in sorted(names) if not is_hidden(name))
        files += [path for path in paths if path.is_file()]
    return files


def natural_key(text: str) -> list:
    """Key that sorts IMG_2 before IMG_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r'(\d+)', text)]


def path_below(folder: Path, name: str) -> Path:
    """The path of a name that comes with data, below the folder on every system.

    Raises:
        ValueError: The name is empty, absolute, has a drive, or a part that is empty or dots.
    """
    parts = re.split(r'[/\\]', name)
    # Windows drops dots and blanks at the end of a part.
    if '\0' in name or PureWindowsPath(name).drive or not all(part.strip(' .') for part in parts):
        raise ValueError(f'{name!r} cannot be the name of a file below {folder}')
    return folder / name


def printable(text: str) -> str:
    r"""The text with an escape, such as ``\udce9``, for what UTF-8 cannot encode.

    That is in the names of files that are not UTF-8 (Latin-1, on Linux): printing one, or writing
    it into a log or a page, would be an error.
    """
    return text.encode('utf-8', 'backslashreplace').decode()


def write_atomic(path: str | Path, content: str | bytes, sync: bool = False) -> None:
    """Write a file that appears whole or not at all; its folder is made when needed.

    Args:
        path: The file.
        content: Bytes, or text to be written as UTF-8, see :func:`printable`.
        sync: See :func:`replaced_whole`. Defaults to False.
    """
    with replaced_whole(path, sync) as partial:
        partial.write_bytes(printable(content).encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replaced_whole(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """Where to write a file that is put in its place when the block ends, and removed if it fails.

    Args:
        path: The file; its folder is made when needed.
        sync: Whether the file is on the disk when the block has ended, so that it outlives a
            machine that loses its power too. Defaults to False: only that the process may end at
            any moment.

    Yields:
        Path of the file to be written, beside its place.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{uuid.uuid4().hex}{PARTIAL}')
    try:
        yield partial
        if sync:
            with partial.open('r+b') as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    if sync and os.name == 'posix':  # elsewhere folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_partial_files(folder: str | Path, pattern: str) -> None:
    """Remove what :func:`replaced_whole` left behind in a process that was killed.

    Args:
        folder: The folder of the files; not those below it.
        pattern: Which files were to be written, as in :meth:`pathlib.Path.glob`. No process may be
            writing them.
    """
    for path in Path(folder).glob(pattern + '.' + '[0-9a-f]' * 32 + PARTIAL):
        path.unlink(missing_ok=True)
