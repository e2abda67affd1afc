"""Files and lists of benchmarks as downloaded."""

import io
import re
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scipy.io import loadmat

from mmcrowd.fileio.files import natural_key
from mmcrowd.fileio.problems import MAX_NAMED, Problems

MAT_HEADER = 128  # bytes, after which the variables begin, each with its kind and size
MAT_COMPRESSED = 15  # the kind of a variable that is compressed


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Files of ``folder`` that match the regular expression, in natural order."""
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')
    files = (path for path in folder.iterdir() if re.fullmatch(pattern, path.name))
    return sorted(files, key=lambda path: natural_key(path.name))


def pair_files(
    images: list[Path], annotations: dict[str, Path], folder: Path, problems: Problems
) -> list[tuple[Path, Path]]:
    """Pairs (image, annotation) by image stem; a file without partner is a problem."""
    stems = {image.stem for image in images}
    check_partners(stems, annotations, 'images without annotation', folder, problems)
    check_partners(annotations, stems, 'annotations without image', folder, problems)
    return [(image, annotations[image.stem]) for image in images if image.stem in annotations]


def check_partners(ids, partners, what: str, source: Path, problems: Problems) -> None:
    """Append a problem that names the ids which are not among ``partners``, if any."""
    missing = sorted(set(ids) - set(partners))
    if missing:
        named = missing[:MAX_NAMED]
        problems.append(FileNotFoundError(f'{source}: {len(missing)} {what} {named}'))


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without blanks around them and without empty lines at the end."""
    try:
        text = path.read_text(encoding='utf-8-sig')
        return [line.strip() for line in text.rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not a text file ({error})') from error


def load_mat(path: Path, key: str):
    """Variable ``key`` of a MATLAB file, or a ``ValueError`` that names file and key."""
    try:
        content = path.read_bytes()
        _check_compressed(content)
        variables = loadmat(io.BytesIO(content))
    except Exception as error:  # of any kind: for a cut or damaged file scipy raises a dozen
        raise ValueError(f'{path}: not a readable MATLAB 5 file ({error})') from error
    if key not in variables:
        found = sorted(k for k in variables if not k.startswith('__'))
        raise ValueError(f'{path}: no variable {key!r}, found {found}')
    return variables[key]


def _check_compressed(content: bytes) -> None:
    """See that the compressed variables of a MATLAB 5 file have the checksums that they were given.

    SciPy does not look at them, and its compiled reader may end the process in damaged ones.
    Variables that are not compressed have no checksum.

    Raises:
        zlib.error: A variable is damaged or cut off.
    """
    # The end of the header: version 1 and the mark that tells the order of bytes.
    order = {b'\x00\x01IM': '<', b'\x01\x00MI': '>'}.get(content[124:MAT_HEADER])
    start = MAT_HEADER
    while order and start + 8 <= len(content):
        kind, size = struct.unpack_from(f'{order}II', content, start)
        start += 8 + size
        if kind == MAT_COMPRESSED:
            zlib.decompress(content[start - size : start])


def check_unique(ids: Sequence[str], source: str | Path, problems: Problems) -> None:
    """Append a problem that names the ids which are there more than once, if any."""
    twice = [img_id for img_id, times in Counter(ids).items() if times > 1]
    if twice:
        named = twice[:MAX_NAMED]
        problems.append(
            ValueError(f'{source}: img_id must be unique, these {len(twice)} are not: {named}')
        )
