"""Files and lists of benchmarks as downloaded."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scipy.io import loadmat

from mmcrowd.fileio.files import natural_key
from mmcrowd.fileio.problems import MAX_NAMED, Problems


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
        variables = loadmat(path)
    except Exception as error:  # of any kind: for a cut or damaged file scipy raises a dozen
        raise ValueError(f'{path}: not a readable MATLAB 5 file ({error})') from error
    if key not in variables:
        found = sorted(k for k in variables if not k.startswith('__'))
        raise ValueError(f'{path}: no variable {key!r}, found {found}')
    return variables[key]


def check_unique(ids: Sequence[str], source: str | Path, problems: Problems) -> None:
    """Append a problem that names the ids which are there more than once, if any."""
    twice = [img_id for img_id, times in Counter(ids).items() if times > 1]
    if twice:
        named = twice[:MAX_NAMED]
        problems.append(
            ValueError(f'{source}: img_id must be unique, these {len(twice)} are not: {named}')
        )
