import csv
from collections.abc import Iterator
from pathlib import Path

from mmcrowd.fileio.problems import Problems

from .shapes import LabelledImage, Shape, number_or_text


def read_csv(path: Path, problems: Problems) -> list[LabelledImage]:
    """CSV with the columns ``image``, ``x``, ``y`` and perhaps ``label``.

    One row for each person; a row without x and y says that the image shows nobody.
    """
    images: dict[str, LabelledImage] = {}
    for where, row in read_table(path, ('image', 'x', 'y'), problems):
        image = images.setdefault(row['image'], LabelledImage(where, row['image']))
        if row['x'] or row['y']:
            values = (number_or_text(row['x']), number_or_text(row['y']))
            image.shapes.append(Shape(where, row.get('label', ''), values))
        else:
            image.says_nobody = True
    for image in images.values():
        if image.says_nobody and image.shapes:
            problems.append(f'{image.where}: {image.name} has points and a row without x and y')
    return list(images.values())


def read_table(
    path: Path, columns: tuple[str, ...], problems: Problems
) -> Iterator[tuple[str, dict[str, str]]]:
    """Place (file:line) and cells by column of each row of a CSV file with a header.

    Args:
        path: UTF-8 text, separated by commas.
        columns: Columns that must be there; others may.
        problems: To append rows to that do not fit the header.

    Raises:
        ValueError: For a file without this header or that is no such text.
    """
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            rows = csv.reader(file)
            header = [name.strip().lower() for name in next(rows, [])]
            if not set(columns) <= set(header):
                raise ValueError(f'{path}:1: header {header}, expected {",".join(columns)}')
            for cells in rows:
                where = f'{path}:{rows.line_num}'
                cells = [cell.strip() for cell in cells]
                if len(cells) == len(header):
                    if any(cells):
                        yield where, dict(zip(header, cells, strict=True))
                elif any(cells):
                    problems.append(f'{where}: {len(cells)} cells, expected {len(header)}')
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path}: not a CSV file in UTF-8 ({error})') from error
