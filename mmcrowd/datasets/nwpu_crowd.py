from pathlib import Path

import numpy as np

from mmcrowd.fileio.files import read_json
from mmcrowd.fileio.problems import Problems
from mmcrowd.ops.heads import box_sigmas
from mmcrowd.registry import DATASETS

from .annotation_checks import check_field, check_points
from .base_crowd_dataset import BaseCrowdDataset
from .benchmark_files import check_partners, check_unique, list_files, load_mat, read_lines
from .image_entry import ImageEntry

LISTS = ('train', 'val', 'test')


@DATASETS.register_module()
class NWPUCrowdDataset(BaseCrowdDataset):
    """NWPU-Crowd (Wang et al., TPAMI 2020), as downloaded.

    The folders are those of :attr:`LAYOUT`.

    The splits are the official ones, 3109 / 500 / 1500 images for training / validation / test, in
    the order of their lists; ``'trainval'`` is the first two together. The annotation of the test
    images is not published: their samples have no ground truth, and predictions go to the
    benchmark's server (``tools/test.py --submission-dir``).

    For each head there are ``points``, ``boxes`` (xyxy) and ``sigmas``, the radii within which the
    benchmark takes a predicted point for this head, see
    :func:`~mmcrowd.ops.heads.box_sigmas`. A line ``id luminance level`` of a list gives
    the ``attributes`` of an image: ``luminance`` and ``level`` (int; 0 to 4 as the count is 0, up
    to 100, up to 500, up to 5000, more). The number of points must be the ``human_num`` of a JSON
    file. ``mats`` are read only where there is no folder ``jsons``.

    The rule for points outside is that of :class:`BaseCrowdDataset`.

    Examples:
        >>> dataset = NWPUCrowdDataset(data_root='data/nwpu', split='val')  # doctest: +SKIP
        >>> len(dataset)  # doctest: +SKIP
        500
    """

    LAYOUT = """
    NWPU-Crowd
    ├── images (or images_part1 ... images_part5)
    │   └── 0001.jpg ...
    ├── jsons (or mats)
    │   └── 0001.json ...
    ├── train.txt
    ├── val.txt
    └── test.txt
    """

    METAINFO = dict(dataset_name='NWPU-Crowd')

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        root = Path(self.data_root)
        names = ('train', 'val') if self.split == 'trainval' else (self.split,)
        folders = [root / 'images']
        if not folders[0].is_dir():
            folders = sorted(p for p in root.glob('images_part*') if p.is_dir()) or folders
        truth = root / 'jsons'
        if not truth.is_dir() and (root / 'mats').is_dir():
            truth = root / 'mats'
        labelled = self.split != 'test'
        self.check_layout(
            *folders, *(root / f'{name}.txt' for name in names), *([truth] * labelled)
        )

        lists = {
            name: read_list(root / f'{name}.txt', problems)
            for name in LISTS
            if (root / f'{name}.txt').is_file()
        }
        rows = [row for name in names for row in lists[name]]
        ids = [img_id for img_id, _ in rows]
        images = [path for folder in folders for path in list_files(folder, r'\d+\.jpg')]
        annotations = list_files(truth, r'\d+\.(json|mat)') if labelled else []
        self._check_lists(lists, images, annotations, problems)
        images = {path.stem: path for path in images}
        annotations = {path.stem: path for path in annotations}
        check_partners(ids, images, 'listed images not there', root, problems)
        if labelled:
            check_partners(ids, annotations, 'listed annotations not there', root, problems)
        return [
            ImageEntry(
                img_path=str(images[img_id]),
                img_id=img_id,
                ann_path=str(annotations[img_id]) if labelled else None,
                attributes=attributes,
            )
            for img_id, attributes in rows
            if img_id in images and (img_id in annotations or not labelled)
        ]

    def _check_lists(
        self, lists: dict, images: list, annotations: list, problems: Problems
    ) -> None:
        """No image twice, in one list or in two, and none that no list has."""
        listed = [img_id for rows in lists.values() for img_id, _ in rows]
        check_unique(listed, Path(self.data_root, '*.txt'), problems)
        check_unique([path.stem for path in images], self.data_root, problems)
        if len(lists) == len(LISTS):
            for what, files in (('images', images), ('annotations', annotations)):
                stems = [path.stem for path in files]
                check_partners(stems, listed, f'{what} in no list', self.data_root, problems)

    def read_annotation(self, entry: ImageEntry) -> dict:
        if entry.ann_path is None:
            return {}
        path = Path(entry.ann_path)
        if path.suffix == '.mat':
            content = dict(points=load_mat(path, 'annPoints'), boxes=load_mat(path, 'annBoxes'))
        else:
            content = read_heads(path)
        points = check_points(content['points'], str(path))
        boxes = check_field(content['boxes'], 'boxes', len(points), str(path))
        number = content.get('human_num', len(points))
        if number != len(points):
            raise ValueError(f'{path}: {len(points)} points, but human_num is {number!r}')
        # Either corner may come first.
        boxes = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
        return dict(points=points, boxes=boxes)

    def read_split(self, problems: Problems) -> list[dict]:
        data_list = super().read_split(problems)
        for info in data_list:
            # Not from the cache, which does not know of a change in their formula. A resized copy
            # has those of the boxes as published.
            if 'boxes' in info and 'sigmas' not in info:
                info['sigmas'] = box_sigmas(info['boxes']).astype(np.float32)
        return data_list


def read_list(path: Path, problems: Problems) -> list[tuple[str, dict]]:
    """Image id and attributes of each row of a split list; the test list has no attributes."""
    wanted = 'id' if path.stem == 'test' else 'id luminance level'
    rows = []
    for i, line in enumerate(read_lines(path), 1):
        fields = line.split()
        are_numbers = all(field.isascii() and field.isdecimal() for field in fields)
        if len(fields) != len(wanted.split()) or not are_numbers:
            problems.append(ValueError(f'{path}:{i}: {line!r}, expected "{wanted}"'))
            continue
        attributes = zip(wanted.split()[1:], map(int, fields[1:]), strict=True)
        rows.append((fields[0], dict(attributes)))
    return rows


def read_heads(path: Path) -> dict:
    """Content of a JSON file with at least ``points`` and ``boxes``."""
    content = read_json(path)
    if not isinstance(content, dict) or not {'points', 'boxes'} <= content.keys():
        raise ValueError(f'{path}: expected an object with "points" and "boxes"')
    return content
