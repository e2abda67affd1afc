"""Read the files of labelling tools: COCO, LabelMe, CVAT and CSV.

A reader returns the images with the shapes that its file has, and nothing is thrown away yet: the
labels to keep are chosen, numbers checked and coordinates moved by ``convert_annotations.py``. What
does not fit the format is appended to ``problems``, one line each; a file that cannot be read at
all is a ``ValueError``.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from mmcrowd.fileio.files import list_tree, read_json
from mmcrowd.fileio.numerals import is_number, parse_number


@dataclass
class Shape:
    """What was drawn for one person.

    Attributes:
        where: File and entry, for messages.
        label: Its class; empty if the file has none.
        values: ``(x, y)`` for a point, ``(x0, y0, x1, y1)`` for a box, as the file has them: not
            necessarily numbers.
        problem: Why it is neither of the two, if so.
    """

    where: str
    label: str = ''
    values: tuple = ()
    problem: str = ''


@dataclass
class LabelledImage:
    """An image and its shapes.

    Attributes:
        where: File and entry, for messages.
        name: The image, as the file names it.
        size: ``(width, height)`` of the image, as the file has it; None if it does not say.
        shapes: One for each person, and others.
        says_nobody: Without shapes: whether somebody has said that the image shows nobody, and not
            merely left it out.
        folder: Folder that ``name`` may be relative to, besides the folder of the images.
    """

    where: str
    name: str
    size: tuple | None = None
    shapes: list[Shape] = field(default_factory=list)
    says_nobody: bool = False
    folder: Path | None = None


def read_coco(
    path: Path, problems: list[str], keypoint: str | None = None, boxes: bool = False
) -> list[LabelledImage]:
    """COCO JSON: the keypoint of each annotation, or its ``bbox`` where it has no keypoints.

    Args:
        path: The file.
        problems: To append to.
        keypoint: Name of the keypoint to take, where annotations have several.
        boxes: Take ``bbox`` even where there are keypoints.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key, []), list) for key in ('images', 'annotations', 'categories')
    ):
        raise ValueError(f'{path}: not COCO, expected an object of lists')
    if 'images' not in content or 'annotations' not in content:
        raise ValueError(f'{path}: not COCO, expected "images" and "annotations"')

    images: dict[int | str, LabelledImage] = {}
    for i, entry in enumerate(content['images']):
        where = f'{path}: images[{i}]'
        if not _has(entry, id=(int, str), file_name=str):
            problems.append(f'{where}: expected an object with "id" and "file_name"')
        elif entry['id'] in images:
            problems.append(f'{where}: id {entry["id"]!r} is there twice')
        else:
            size = _size(entry.get('width'), entry.get('height'))
            images[entry['id']] = LabelledImage(where, entry['file_name'], size)

    categories = {c['id']: c for c in content.get('categories', []) if _has(c, id=(int, str))}
    for i, entry in enumerate(content['annotations']):
        where = f'{path}: annotations[{i}]'
        if not _has(entry, image_id=(int, str)) or entry['image_id'] not in images:
            problems.append(f'{where}: no "image_id" of one of the images')
            continue
        number = entry.get('category_id')
        category = categories.get(number, {}) if isinstance(number, (int, str)) else {}
        shape = Shape(where, str(category.get('name', '' if number is None else number)))
        _set_coco_values(shape, entry, category, keypoint, boxes)
        images[entry['image_id']].shapes.append(shape)
    return list(images.values())


def _set_coco_values(
    shape: Shape, entry: dict, category: dict, keypoint: str | None, boxes: bool
) -> None:
    """Set the values of one annotation, or its problem."""
    keypoints, box = entry.get('keypoints') or [], entry.get('bbox')
    if entry.get('iscrowd') == 1:
        shape.problem = 'iscrowd=1, an area of several people, cannot become points'
    elif not boxes and keypoints:
        names = category.get('keypoints')
        names = names if isinstance(names, list) else []
        if not isinstance(keypoints, list) or len(keypoints) % 3:
            shape.problem = '"keypoints" is no list of x, y, visibility'
            return
        if keypoint is None and len(keypoints) > 3:
            shape.problem = (
                f'{len(keypoints) // 3} keypoints; say which is the person with --keypoint NAME '
                f'(the file has {names}), or take the boxes with --boxes'
            )
            return
        if keypoint is not None and keypoint not in names[: len(keypoints) // 3]:
            shape.problem = f'no keypoint {keypoint!r}, the file has {names}'
            return
        k = 0 if keypoint is None else 3 * names.index(keypoint)
        x, y, visibility = keypoints[k : k + 3]
        shape.values = (x, y)
        if visibility == 0:
            shape.problem = 'its keypoint is not labelled (visibility 0); see --boxes'
    elif isinstance(box, list) and len(box) == 4:
        x, y, width, height = box
        shape.values = (x, y, x + width, y + height) if are_numbers(box) else tuple(box)
    else:
        shape.problem = f'bbox={box!r}, expected [x, y, width, height]'


def read_labelme(folder: Path, problems: list[str]) -> list[LabelledImage]:
    """A folder, or a tree of folders, with one LabelMe JSON for each image.

    Hidden files are none, and links are followed, see :func:`mmcrowd.fileio.files.list_tree`.
    """
    files = [path for path in list_tree(folder) if path.suffix == '.json']
    if not files:
        raise ValueError(f'{folder}: no folder with .json files of LabelMe')
    images = []
    for path in files:
        try:
            content = read_json(path)
        except ValueError as problem:
            problems.append(str(problem))
            continue
        if not _has(content, shapes=list, imagePath=str):
            problems.append(f'{path}: not LabelMe, expected "imagePath" and "shapes"')
            continue
        image = LabelledImage(
            where=str(path),
            name=content['imagePath'],
            size=_size(content.get('imageWidth'), content.get('imageHeight')),
            # LabelMe writes a file when somebody has saved it.
            says_nobody=not content['shapes'],
            folder=path.parent,
        )
        for i, entry in enumerate(content['shapes']):
            image.shapes.append(_labelme_shape(entry, f'{path}: shapes[{i}]'))
        images.append(image)
    return images


def _labelme_shape(entry: dict, where: str) -> Shape:
    if not _has(entry, points=list, shape_type=str):
        return Shape(where, problem='expected an object with "shape_type" and "points"')
    shape = Shape(where, str(entry.get('label', '')))
    kind, points = entry['shape_type'], entry['points']
    wanted = dict(point=1, rectangle=2).get(kind)
    if wanted is None:
        shape.problem = f'shape_type={kind!r}, expected "point" or "rectangle"'
    elif len(points) != wanted or not all(isinstance(p, list) and len(p) == 2 for p in points):
        shape.problem = f'points={points!r}, expected {wanted} [x, y] for a {kind}'
    else:
        shape.values = tuple(value for point in points for value in point)
        if kind == 'rectangle' and are_numbers(shape.values):
            # Any two opposite corners, in the order of the clicks.
            x0, y0, x1, y1 = shape.values
            shape.values = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    return shape


def read_cvat(path: Path, problems: list[str]) -> list[LabelledImage]:
    """XML of "CVAT for images 1.1"; an element ``points`` may hold several persons."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # or an unknown encoding
        raise ValueError(f'{path}: not valid XML ({error})') from error
    if root.tag != 'annotations' or root.find('track') is not None:
        raise ValueError(f'{path}: expected the export "CVAT for images 1.1", without tracks')
    images = []
    for i, element in enumerate(root.findall('image')):
        name = element.get('name', '')
        size = _size(_number(element.get('width')), _number(element.get('height')))
        image = LabelledImage(f'{path}: image[{i}]', name, size)
        for k, child in enumerate(element):
            where, label = f'{image.where} ({name}), {child.tag}[{k}]', child.get('label', '')
            if child.tag == 'points':
                for pair in child.get('points', '').split(';'):
                    values = tuple(_number(value.strip()) for value in pair.split(','))
                    image.shapes.append(Shape(where, label, values))
            elif child.tag == 'box':
                corners = ('xtl', 'ytl', 'xbr', 'ybr')
                values = tuple(_number(child.get(corner)) for corner in corners)
                image.shapes.append(Shape(where, label, values))
            elif child.tag != 'tag':  # a tag is about the whole image
                image.shapes.append(Shape(where, label, problem='expected points or a box'))
        images.append(image)
    return images


def read_csv(path: Path, problems: list[str]) -> list[LabelledImage]:
    """CSV with the columns ``image``, ``x``, ``y`` and perhaps ``label``.

    One row for each person; a row without x and y says that the image shows nobody.
    """
    images: dict[str, LabelledImage] = {}
    for where, row in read_table(path, ('image', 'x', 'y'), problems):
        image = images.setdefault(row['image'], LabelledImage(where, row['image']))
        if row['x'] or row['y']:
            values = (_number(row['x']), _number(row['y']))
            image.shapes.append(Shape(where, row.get('label', ''), values))
        else:
            image.says_nobody = True
    for image in images.values():
        if image.says_nobody and image.shapes:
            problems.append(f'{image.where}: {image.name} has points and a row without x and y')
    return list(images.values())


def read_table(
    path: Path, columns: tuple[str, ...], problems: list[str]
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


def are_numbers(values) -> bool:
    """Whether all are finite numbers of pixels, no strings nor NaN."""
    return all(type(value) in (int, float) and abs(value) < 1e9 for value in values)


def _has(entry, **types) -> bool:
    """Whether ``entry`` is a dict with these keys, of these types."""
    return isinstance(entry, dict) and all(isinstance(entry.get(k), t) for k, t in types.items())


def _number(text: str | None) -> int | float | str | None:
    """The number that the text says, else the text, for the message."""
    return text if text is None or not is_number(text) else parse_number(text)


def _size(width, height) -> tuple | None:
    return None if width is None or height is None else (width, height)
