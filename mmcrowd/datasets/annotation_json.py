import json
import os
from collections.abc import Sequence
from pathlib import Path

from mmcrowd.fileio.files import read_json, write_atomic
from mmcrowd.structures.point_fields import POINT_FIELDS

FILE_NAME = 'annotations.json'
GIVEN_SPLITS = ('train', 'val', 'test')


def read_annotations(
    path: Path, root: str | Path, problems: list[Exception]
) -> tuple[dict, list[dict]]:
    """Read the annotation file that :class:`~mmcrowd.datasets.CrowdDataset` describes.

    Args:
        path: The file.
        root: Folder that the paths of the images are relative to.
        problems: To append what is wrong with single images.

    Returns:
        The ``metainfo``, and for each image what
        :meth:`~mmcrowd.datasets.BaseCrowdDataset.list_images` wants, with its ``annotation`` and,
        if it is given, its ``split``.

    Raises:
        ValueError: The file as a whole is not in this format.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get('data_list'), list):
        raise ValueError(f'{path}: expected an object with the list "data_list"')
    metainfo = content.get('metainfo', {})
    if not isinstance(metainfo, dict):
        raise ValueError(f'{path}: "metainfo" is {metainfo!r}, expected an object')
    data_list = []
    for i, entry in enumerate(content['data_list']):
        try:
            data_list.append(_parse(entry, f'{path}: data_list[{i}]', path, Path(root)))
        except ValueError as problem:
            problems.append(problem)
    return metainfo, data_list


def write_annotations(path: str | Path, data_list: Sequence[dict], **metainfo) -> None:
    """Write such a file; it appears whole or not at all.

    Args:
        path: The file; its folder is made when needed.
        data_list: The entries of the images, in JSON's types.
        **metainfo: What is to be known of the data as a whole, such as ``dataset_name``.
    """
    # A line for each image, for people who look at the file or compare two.
    lines = ',\n'.join(json.dumps(entry, allow_nan=False) for entry in data_list)
    write_atomic(path, f'{{"metainfo": {json.dumps(metainfo)},\n"data_list": [\n{lines}\n]}}\n')


def _parse(entry, where: str, path: Path, root: Path) -> dict:
    path_given = isinstance(entry, dict) and isinstance(entry.get('img_path'), str)
    if not path_given or not Path(entry['img_path']).name:
        raise ValueError(f'{where}: expected an object with "img_path" and "points"')
    where = f'{where} ({entry["img_path"]})'
    if not _can_name_a_file(entry['img_path']):
        raise ValueError(f'{where}: img_path={entry["img_path"]!r} cannot be the name of a file')
    if 'points' not in entry:
        raise ValueError(f'{where}: no key "points"; write [] for nobody, null for not annotated')
    if entry.get('split', 'train') not in GIVEN_SPLITS:
        raise ValueError(f'{where}: split={entry["split"]!r}, expected "train", "val" or "test"')
    info = dict(
        img_path=str(root / entry['img_path']),
        img_id=str(entry.get('img_id', Path(entry['img_path']).with_suffix('').as_posix())),
        ann_path=str(path),
        annotation={},
        source=where,
    )
    if not isinstance(attributes := entry.get('attributes', {}), dict):
        raise ValueError(f'{where}: attributes={attributes!r}, expected an object')
    info['attributes'] = attributes
    if entry['points'] is not None:
        info['annotation'] = {key: entry[key] for key in POINT_FIELDS if key in entry}
    if 'split' in entry:
        info['split'] = entry['split']
    if 'ori_shape' in entry:
        info['ori_shape'] = _parse_shape(entry['ori_shape'], where)
    return info


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
