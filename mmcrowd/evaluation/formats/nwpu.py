"""Text files of the NWPU-Crowd benchmark (Wang et al., TPAMI 2020).

One line per image, its values separated by blanks:

- counts, predicted or true: ``id count``;
- predicted points: ``id n x1 y1 x2 y2 ...``;
- true points: ``id n`` and n times ``x y sigma_s sigma_l level``, the small and the large radius of
  the head and the level 0 to 5 of its area.

Everything is a whole number, in pixels of the original frame, except that a predicted count may
be a fraction. An image without points has ``n = 0``. The readers are the validators: they accept
CR-LF, blanks at the end of a line and empty lines at the end of the file, and report everything
else that is wrong with a file in one ``ValueError``, each problem as ``FILE:LINE: what is wrong``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.fileio.files import write_atomic
from mmcrowd.fileio.numerals import parse_number, parse_numbers
from mmcrowd.fileio.problems import MAX_NAMED, Problems
from mmcrowd.ops.heads import HEAD_LEVELS

LEVELS = range(len(HEAD_LEVELS))  # of the head area

T = TypeVar('T')


class TruePoints(NamedTuple):
    """Annotation of one image.

    Attributes:
        points: ``(m, 2)`` float64 ``(x, y)``.
        sigmas: ``(m, 2)`` float64 small and large radius of each head.
        levels: ``(m,)`` int64 levels of the head area.
    """

    points: np.ndarray
    sigmas: np.ndarray
    levels: np.ndarray


def read_results(truth: str | Path, predictions: str | Path) -> list[ImageResult]:
    """Read a truth file and a prediction file of the same images.

    Each may hold points or counts, which is told from the lines, see :func:`holds_counts`. Where a
    file holds points, the count of an image is their number.

    Args:
        truth: File of the truth.
        predictions: File of the predictions.

    Returns:
        One result per image, in the order of the truth.

    Raises:
        ValueError: As the readers of each kind of file and :func:`check_ids`.
    """
    if holds_counts(truth):
        true = {
            img_id: dict(gt_count=int(count))
            for img_id, count in _read(truth, _parse_true_count).items()
        }
    else:
        true = {
            img_id: dict(
                gt_count=len(heads.points),
                gt_points=heads.points,
                gt_sigmas=heads.sigmas,
                gt_levels=heads.levels,
            )
            for img_id, heads in read_truth(truth).items()
        }
    if holds_counts(predictions):
        predicted = {
            img_id: dict(pred_count=count) for img_id, count in read_counts(predictions).items()
        }
    else:
        predicted = {
            img_id: dict(pred_count=float(len(points)), pred_points=points)
            for img_id, points in read_points(predictions).items()
        }
    check_ids(predicted, true, predictions, truth)
    return [
        ImageResult(img_id=img_id, **predicted[img_id], **fields) for img_id, fields in true.items()
    ]


def read_counts(path: str | Path) -> dict[str, float]:
    """Read ``id count`` lines.

    Returns:
        Count by image id, in the order of the file.

    Raises:
        ValueError: A line is malformed, a count is no finite number >= 0 or an id is there twice.
    """
    return _read(path, _parse_count)


def read_points(path: str | Path) -> dict[str, np.ndarray]:
    """Read predicted points, ``id n x1 y1 x2 y2 ...`` lines.

    Returns:
        ``(n, 2)`` float64 points by image id, in the order of the file.

    Raises:
        ValueError: A line is malformed, its number of values does not fit n, a value is no whole
            number or an id is there twice.
    """
    return _read(path, lambda values: _parse_items(values, 2))


def read_truth(path: str | Path) -> dict[str, TruePoints]:
    """Read true points, ``id n (x y sigma_s sigma_l level)*`` lines.

    Returns:
        Annotation by image id, in the order of the file.

    Raises:
        ValueError: As :func:`read_points`, or a radius is negative or a level is not in 0..5.
    """
    return _read(path, _parse_truth)


def holds_counts(path: str | Path) -> bool:
    """Whether a file holds counts rather than points.

    It does if most of the lines whose second value is not ``0`` have two values. A file in which it
    is ``0`` everywhere could be either, and is taken for points.
    """
    starts = [line.split(maxsplit=2) for line in _lines(path)]
    lengths = [len(start) for start in starts if start[1:2] != ['0']]
    return 2 * lengths.count(2) > len(lengths)


def check_ids(
    predicted: Collection[str],
    true: Collection[str],
    predictions: str | Path,
    truth: str | Path,
) -> None:
    """Check that the predictions are of the images of the truth, all of them and no other.

    Args:
        predicted: Ids of the predictions.
        true: Ids of the truth.
        predictions: File of the predictions, for the message.
        truth: File of the truth, for the message.

    Raises:
        ValueError: An id is only in one of them.
    """
    problems = Problems()
    for ids, others, what in (
        (true, predicted, f'of {truth} are missing'),
        (predicted, true, f'are not in {truth}'),
    ):
        alone = [img_id for img_id in ids if img_id not in others]
        if alone:
            more = f' and {len(alone) - MAX_NAMED} more' if len(alone) > MAX_NAMED else ''
            named = ', '.join(alone[:MAX_NAMED])
            problems.append(f'{len(alone)} images {what}: {named}{more}')
    problems.raise_if_any(f'{problems.counted} in {predictions}')


def write_counts(counts: Mapping[str, float], path: str | Path) -> None:
    """Write ``id count`` lines, in the order of the mapping, with up to four decimals.

    The file appears whole or not at all.

    Raises:
        ValueError: A count is not a finite number >= 0, or an id is empty or has blanks.
    """
    write_atomic(path, ''.join(count_line(img_id, count) for img_id, count in counts.items()))


def count_line(img_id: str, count: float) -> str:
    """The line of one image in a file of counts.

    Raises:
        ValueError: As :func:`write_counts`.
    """
    if not (np.isfinite(count) and count >= 0):
        raise ValueError(f'image {img_id!r}: the count is {count}, expected a number >= 0')
    # Adding 0 turns -0.0 into 0.0.
    return _line(img_id, f'{count + 0.0:.4f}'.rstrip('0').rstrip('.'))


def write_points(points: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Write predicted points, ``id n x1 y1 x2 y2 ...`` lines, in the order of the mapping.

    Coordinates are rounded to the nearest whole number, halves to the even one (``np.rint``). The
    file appears whole or not at all.

    Args:
        points: ``(n, 2)`` points ``(x, y)`` by image id, in pixels of the original frame.
        path: File to write.

    Raises:
        ValueError: A coordinate is not finite, or an id is empty or has blanks.
    """
    write_atomic(path, ''.join(points_line(img_id, each) for img_id, each in points.items()))


def points_line(img_id: str, points: np.ndarray) -> str:
    """The line of one image in a file of predicted points.

    Raises:
        ValueError: As :func:`write_points`.
    """
    return _line(img_id, _join(img_id, (points,)))


def write_truth(truth: Mapping[str, TruePoints], path: str | Path) -> None:
    """Write true points, ``id n (x y sigma_s sigma_l level)*`` lines, as :func:`write_points`."""
    lines = (_line(key, _join(key, (t.points, t.sigmas, t.levels))) for key, t in truth.items())
    write_atomic(path, ''.join(lines))


def _lines(path: str | Path) -> list[str]:
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not a text file ({error})') from None
    if not text.strip():
        raise ValueError(f'{path}: the file is empty, expected one line per image')
    return text.rstrip().split('\n')


def _read(path: str | Path, parse: Callable[[list[str]], T]) -> dict[str, T]:
    """What ``parse`` makes of the values after the id, by id."""
    images: dict[str, T] = {}
    line_of: dict[str, int] = {}
    problems = Problems()
    for number, line in enumerate(_lines(path), start=1):
        img_id, *values = line.split() or ['']
        try:
            if not values:
                raise ValueError(f'expected an image id and a number, got {line.strip()!r}')
            if img_id in line_of:
                raise ValueError(f'image {img_id!r} was on line {line_of[img_id]} already')
            line_of[img_id] = number
            images[img_id] = parse(values)
        except ValueError as error:
            problems.append(f'{path}:{number}: {error}')
    problems.raise_if_any(f'{problems.counted} in {path}')
    return images


def _parse_count(values: list[str]) -> float:
    if len(values) != 1:
        raise ValueError(f'expected an image id and a count, got {1 + len(values)} values')
    count = float(parse_number(values[0]))
    if count < 0:
        raise ValueError(f'the count is {values[0]}, expected a number >= 0')
    return count


def _parse_true_count(values: list[str]) -> float:
    count = _parse_count(values)
    if not count.is_integer():
        raise ValueError(f'the true count is {values[0]}, expected a whole number')
    return count


def _parse_truth(values: list[str]) -> TruePoints:
    heads = _parse_items(values, 5)
    points, sigmas, levels = heads[:, :2], heads[:, 2:4], heads[:, 4].astype(np.int64)
    if (sigmas < 0).any():
        raise ValueError(f'a radius is {sigmas.min():g}, expected >= 0')
    unknown = levels[(levels < LEVELS[0]) | (levels > LEVELS[-1])]
    if unknown.size:
        raise ValueError(f'a level is {unknown[0]}, expected one of 0 to {LEVELS[-1]}')
    return TruePoints(points, sigmas, levels)


def _parse_items(values: list[str], width: int) -> np.ndarray:
    """``(n, width)`` float64 of ``n`` and the values of n points."""
    number, *values = values
    n = parse_number(number)
    if n < 0 or n != int(n):
        raise ValueError(f'the number of points is {number}, expected a whole number >= 0')
    if len(values) != n * width:
        raise ValueError(
            f'{n:.0f} points need {n * width:.0f} values after their number, got {len(values)}'
        )
    items = parse_numbers(values)
    fractions = items != np.rint(items)
    if fractions.any():
        raise ValueError(f'{values[fractions.argmax()]} is not a whole number')
    return items.reshape(-1, width)


def _join(img_id: str, columns: Iterable[np.ndarray]) -> str:
    """``n`` and the values of n points, from arrays of n rows."""
    values = np.column_stack([np.asarray(column, np.float64) for column in columns])
    if not np.isfinite(values).all():
        raise ValueError(f'image {img_id!r}: a coordinate is not finite')
    return ' '.join(map(str, [len(values), *np.rint(values).astype(np.int64).ravel().tolist()]))


def _line(img_id: str, values: str) -> str:
    if img_id.split() != [img_id]:
        raise ValueError(f'image {img_id!r}: an id must be one word')
    return f'{img_id} {values}\n'
