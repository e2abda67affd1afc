import json
import os
from collections.abc import Sequence
from pathlib import Path

from mmcrowd.fileio.files import read_json, write_atomic
from mmcrowd.fileio.problems import Problems
from mmcrowd.structures.point_fields import POINT_FIELDS

from .image_entry import ImageEntry
from .splits import GIVEN_SPLITS

ANNOTATION_FILE = 'annotations.json'


def read_annotation_file(
    path: Path, root: str | Path, problems: Problems
) -> tuple[dict, list[ImageEntry]]:
    """Read the annotation file that :class:`~mmcrowd.datasets.CrowdDataset` describes.

    Args:
        path: The file.
        root: Folder that the paths of the images are relative to.
        problems: To append what is wrong with single images.

    Returns:
        The ``metainfo``, and the entry of each image with its ``annotation`` and, if it is given,
        its ``split``.

    Raises:
        ValueError: The file as a whole is not in this format.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get('data_list'), list):
        raise ValueError(f'{path}: expected an object with the list "data_list"')
    metainfo = content.get('metainfo', {})
    if not isinstance(metainfo, dict):
        raise ValueError(f'{path}: "metainfo" is {metainfo!r}, expected an object')
    entries = []
    for i, given in enumerate(content['data_list']):
        with problems.collect():
            entries.append(_parse(given, f'{path}: data_list[{i}]', path, Path(root)))
    return metainfo, entries


def write_annotation_file(path: str | Path, data_list: Sequence[dict], **metainfo) -> None:
    """Write such a file; it appears whole or not at all.

    Args:
        path: The file; its folder is made when needed.
        data_list: The entries of the images, in JSON's types.
        **metainfo: What is to be known of the data as a whole, such as ``dataset_name``.
    """
    # A line for each image, for people who look at the file or compare two.
    lines = ',\n'.join(json.dumps(entry, allow_nan=False) for entry in data_list)
    write_atomic(path, f'{{"metainfo": {json.dumps(metainfo)},\n"data_list": [\n{lines}\n]}}\n')


def _parse(given, where: str, path: Path, root: Path) -> ImageEntry:
    path_given = isinstance(given, dict) and isinstance(given.get('img_path'), str)
    if not path_given or not Path(given['img_path']).name:
        raise ValueError(f'{where}: expected an object with "img_path" and "points"')
    where = f'{where} ({given["img_path"]})'
    if not _can_name_a_file(given['img_path']):
        raise ValueError(f'{where}: img_path={given["img_path"]!r} cannot be the name of a file')
    if 'points' not in given:
        raise ValueError(f'{where}: no key "points"; write [] for nobody, null for not annotated')
    if given.get('split', 'train') not in GIVEN_SPLITS:
        raise ValueError(f'{where}: split={given["split"]!r}, expected "train", "val" or "test"')
    if not isinstance(attributes := given.get('attributes', {}), dict):
        raise ValueError(f'{where}: attributes={attributes!r}, expected an object')
    is_labelled = given['points'] is not None
    return ImageEntry(
        img_path=str(root / given['img_path']),
        img_id=str(given.get('img_id', Path(given['img_path']).with_suffix('').as_posix())),
        ann_path=str(path),
        annotation={key: given[key] for key in POINT_FIELDS if key in given and is_labelled},
        attributes=attributes,
        ori_shape=_parse_shape(given['ori_shape'], where) if 'ori_shape' in given else None,
        split=given.get('split'),
        source=where,
    )


def _can_name_a_file(path: str) -> bool:
    try:
        return b'\0' not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _parse_shape(shape, where: str) -> tuple[int, int]:
    if not (
        isinstance(shape, list)
        and len(shape) == 2
        and all(type(side) is int and side > 0 for side in shape)
    ):
        raise ValueError(f'{where}: ori_shape={shape!r}, expected [height, width] in pixels')
    return tuple(shape)
