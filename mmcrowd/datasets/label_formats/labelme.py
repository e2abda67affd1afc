from pathlib import Path

from mmcrowd.fileio.files import list_tree, read_json
from mmcrowd.fileio.problems import Problems

from .shapes import LabelledImage, Shape, are_numbers, has_types, size_or_none


def read_labelme(folder: Path, problems: Problems) -> list[LabelledImage]:
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
            problems.append(problem)
            continue
        if not has_types(content, shapes=list, imagePath=str):
            problems.append(f'{path}: not LabelMe, expected "imagePath" and "shapes"')
            continue
        image = LabelledImage(
            where=str(path),
            name=content['imagePath'],
            size=size_or_none(content.get('imageWidth'), content.get('imageHeight')),
            # LabelMe writes a file when somebody has saved it.
            says_nobody=not content['shapes'],
            folder=path.parent,
        )
        for i, entry in enumerate(content['shapes']):
            image.shapes.append(_labelme_shape(entry, f'{path}: shapes[{i}]'))
        images.append(image)
    return images


def _labelme_shape(entry: dict, where: str) -> Shape:
    if not has_types(entry, points=list, shape_type=str):
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
