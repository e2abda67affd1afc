from pathlib import Path

import numpy as np

from mmcrowd.fileio.numerals import is_number, parse_integer
from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset
from .benchmark_files import check_partners, check_unique, list_files, pair_files, read_lines
from .image_entry import ImageEntry


@DATASETS.register_module()
class JHUCrowdDataset(BaseCrowdDataset):
    """JHU-CROWD++ (Sindagi et al., TPAMI 2020), version 2.0 as downloaded.

    The folders are those of :attr:`LAYOUT`.

    The splits are the official ones, 2272 / 500 / 1600 images for training / validation / test;
    ``'trainval'`` is the first two together. Some images have nobody in them and an empty file.

    A line ``x y w h o b`` of ``gt`` is one head. In the sample it becomes

    - ``points``: ``(x, y)``, the centre of the head;
    - ``boxes``: ``w`` by ``h`` pixels around it. The benchmark calls these sizes approximate; both
      are 0 for some heads, and a box may reach over the edge of its image;
    - ``occlusion``: ``o``, 1 visible, 2 partly hidden, 3 hidden;
    - ``blur``: ``b``, 0 sharp, 1 blurred.

    A line ``id,count,scene,weather,distractor`` of ``image_labels.txt`` is one image. Its count
    must be the number of points; the rest becomes the ``attributes``: ``scene`` (str), ``weather``
    (int; 0 none, 1 fog or haze, 2 rain, 3 snow) and ``distractor`` (int; 1 for an image that looks
    like a crowd and is none).

    The rule for points outside is that of :class:`BaseCrowdDataset`.

    Examples:
        >>> dataset = JHUCrowdDataset(data_root='data/jhu', split='test')  # doctest: +SKIP
        >>> len(dataset)  # doctest: +SKIP
        1600
    """

    LAYOUT = """
    jhu_crowd_v2.0
    ├── train
    │   ├── images
    │   │   └── 0001.jpg ...
    │   ├── gt
    │   │   └── 0001.txt ...
    │   └── image_labels.txt
    ├── val
    └── test
    """

    METAINFO = dict(dataset_name='JHU-CROWD++')

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        names = ('train', 'val') if self.split == 'trainval' else (self.split,)
        folders = [Path(self.data_root) / name for name in names]
        for folder in folders:
            self.check_layout(folder / 'images', folder / 'gt', folder / 'image_labels.txt')
        entries = [entry for folder in folders for entry in self._list_folder(folder, problems)]
        check_unique([entry.img_id for entry in entries], self.data_root, problems)
        return entries

    @staticmethod
    def _list_folder(folder: Path, problems: Problems) -> list[ImageEntry]:
        labels = read_labels(folder / 'image_labels.txt', problems)
        images = list_files(folder / 'images', r'\d+\.jpg')
        annotations = {path.stem: path for path in list_files(folder / 'gt', r'\d+\.txt')}
        pairs = pair_files(images, annotations, folder, problems)
        ids = [image.stem for image in images]
        check_partners(ids, labels, 'images without label', folder, problems)
        check_partners(labels, ids, 'labels without image', folder, problems)
        return [
            ImageEntry(str(image), image.stem, ann_path=str(annotation), **labels[image.stem])
            for image, annotation in pairs
            if image.stem in labels
        ]

    def read_annotation(self, entry: ImageEntry) -> dict:
        path = Path(entry.ann_path)
        heads = [line.split() for line in read_lines(path)]
        for i, head in enumerate(heads, 1):
            if len(head) != 6:
                raise ValueError(f'{path}:{i}: {len(head)} values, expected "x y w h o b"')
            if not all(map(is_number, head)):
                raise ValueError(f'{path}:{i}: {head}, expected finite numbers "x y w h o b"')
        heads = np.array(heads, np.float64).reshape(-1, 6)
        points, half = heads[:, :2], heads[:, 2:4] / 2
        return dict(
            points=points,
            boxes=np.concatenate([points - half, points + half], axis=1),
            occlusion=heads[:, 4],
            blur=heads[:, 5],
        )


def read_labels(path: Path, problems: Problems) -> dict[str, dict]:
    """``num_points`` and ``attributes`` of each image of an ``image_labels.txt``, by image id."""
    rows = []
    for i, line in enumerate(read_lines(path), 1):
        try:
            img_id, count, scene, *others = (cell.strip() for cell in line.split(','))
            weather, distractor = map(parse_integer, others)
            attributes = dict(scene=scene, weather=weather, distractor=distractor)
            rows.append((img_id, dict(num_points=parse_integer(count), attributes=attributes)))
        except ValueError:
            problems.append(
                ValueError(f'{path}:{i}: {line!r}, expected "id,count,scene,weather,distractor"')
            )
    check_unique([img_id for img_id, _ in rows], path, problems)
    return dict(rows)
