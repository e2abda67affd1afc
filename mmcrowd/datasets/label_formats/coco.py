from pathlib import Path

from mmcrowd.fileio.files import read_json
from mmcrowd.fileio.problems import Problems

from .shapes import LabelledImage, Shape, are_numbers, has_types, size_or_none


def read_coco(
    path: Path, problems: Problems, keypoint: str | None = None, boxes: bool = False
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
        if not has_types(entry, id=(int, str), file_name=str):
            problems.append(f'{where}: expected an object with "id" and "file_name"')
        elif entry['id'] in images:
            problems.append(f'{where}: id {entry["id"]!r} is there twice')
        else:
            size = size_or_none(entry.get('width'), entry.get('height'))
            images[entry['id']] = LabelledImage(where, entry['file_name'], size)

    categories = {c['id']: c for c in content.get('categories', []) if has_types(c, id=(int, str))}
    for i, entry in enumerate(content['annotations']):
        where = f'{path}: annotations[{i}]'
        if not has_types(entry, image_id=(int, str)) or entry['image_id'] not in images:
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
