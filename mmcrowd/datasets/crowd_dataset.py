import json
from pathlib import Path

from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset, check_unique


@DATASETS.register_module()
class CrowdDataset(BaseCrowdDataset):
    """Your own images, described by one JSON annotation file.

    The file is in OpenMMLab's annotation format::

        {
          "metainfo": {"dataset_name": "station"},
          "data_list": [
            {"img_path": "images/0001.jpg", "points": [[312.5, 80.0], [330.0, 84.2]]},
            {"img_path": "images/0002.jpg", "points": [], "split": "test"}
          ]
        }

    ``img_path`` is relative to ``data_root``; a point is ``[x, y]`` in pixels, integer coordinates
    being pixel centres. Optional keys of an image: ``img_id`` (default: the path without its
    ending), ``split`` (``"train"``, ``"val"`` or ``"test"``), ``boxes`` (xyxy, one per point),
    ``attributes`` (any labels).

    An image without a ``split`` is for training. Where no image says ``"val"``, the training images
    are divided by the every-tenth rule of :class:`BaseCrowdDataset`, in the order of the file. A
    file in which no image has a ``split`` is as a whole what ``'test'`` reads.

    Args:
        ann_file: The JSON file, relative to ``data_root`` or absolute.
        data_root: Folder that ``img_path`` is relative to.
        split: See above.
        **kwargs: Arguments of :class:`BaseCrowdDataset`.

    Raises:
        ValueError: For JSON that does not parse or does not fit the format, naming file and entry.
    """

    def __init__(self, ann_file: str = 'annotations.json', **kwargs):
        super().__init__(ann_file=ann_file, **kwargs)

    def list_images(self, problems: list[Exception]) -> list[dict]:
        path = Path(self.annotation_file({}))
        if not path.is_file():
            raise self.wrong_root(f'no annotation file {path}')
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f'{path}: not valid JSON ({error})') from error
        if not isinstance(content, dict) or not isinstance(content.get('data_list'), list):
            raise ValueError(f'{path}: expected an object with the list "data_list"')
        metainfo = content.get('metainfo', {})
        if not isinstance(metainfo, dict):
            raise ValueError(f'{path}: "metainfo" is {metainfo!r}, expected an object')
        # As in MMEngine, what the config says goes before what the file says.
        self._metainfo = {**metainfo, **self._metainfo}

        entries, data_list = content['data_list'], []
        for i, entry in enumerate(entries):
            try:
                data_list.append(self._parse(entry, f'{path}: data_list[{i}]'))
            except ValueError as problem:
                problems.append(problem)
        check_unique([info['img_id'] for info in data_list], path, problems)
        if any(isinstance(entry, dict) and 'split' in entry for entry in entries):
            return self._select_given_split(data_list)
        return self._select_split(data_list)

    def _select_given_split(self, data_list: list[dict]) -> list[dict]:
        given = {info['split'] for info in data_list}
        if 'val' not in given and self.split != 'test':
            return self._select_split([info for info in data_list if info['split'] == 'train'])
        wanted = ('train', 'val') if self.split == 'trainval' else (self.split,)
        return [info for info in data_list if info['split'] in wanted]

    def _parse(self, entry: dict, where: str) -> dict:
        if not isinstance(entry, dict) or not isinstance(entry.get('img_path'), str):
            raise ValueError(f'{where}: expected an object with "img_path" and "points"')
        if 'points' not in entry:
            raise ValueError(f'{where} ({entry["img_path"]}): no key "points"; write [] for nobody')
        split = entry.get('split', 'train')
        if split not in ('train', 'val', 'test'):
            raise ValueError(f'{where}: split={split!r}, expected "train", "val" or "test"')
        info = dict(
            img_path=str(Path(self.data_root) / entry['img_path']),
            img_id=str(entry.get('img_id', Path(entry['img_path']).with_suffix(''))),
            ann_path=where,
            points=entry['points'],
            split=split,
            attributes=entry.get('attributes', {}),
        )
        if 'boxes' in entry:
            info['boxes'] = entry['boxes']
        return info

    def read_annotation(self, info: dict) -> dict:
        return {key: info[key] for key in ('points', 'boxes') if key in info}

    def annotation_file(self, info: dict) -> str:
        return str(Path(self.data_root) / self.ann_file)
