from pathlib import Path

from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset
from .benchmark_files import list_files, load_mat, pair_files
from .image_entry import ImageEntry
from .splits import select_by_position


@DATASETS.register_module()
class ShanghaiTechDataset(BaseCrowdDataset):
    """ShanghaiTech, part A or B (Zhang et al., CVPR 2016), as downloaded.

    ``data_root`` is the folder of one part, as in :attr:`LAYOUT`; ``ground_truth`` is
    read as well as ``ground-truth``.

    Part A has 300 / 182 images for training / test, part B 400 / 316. The image ``IMG_98`` of
    part A's test set is the same file as ``IMG_121`` of its training set; the official split is
    kept as it is.

    Splits and the rule for points outside are those of :class:`BaseCrowdDataset`.

    Examples:
        >>> dataset = ShanghaiTechDataset(data_root='data/part_A', split='test')  # doctest: +SKIP
        >>> len(dataset)  # doctest: +SKIP
        182
    """

    LAYOUT = """
    part_A or part_B (or part_A_final, part_B_final)
    ├── train_data
    │   ├── images
    │   │   └── IMG_1.jpg ...
    │   └── ground-truth
    │       └── GT_IMG_1.mat ...
    └── test_data
        ├── images
        └── ground-truth
    """

    METAINFO = dict(dataset_name='ShanghaiTech')

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        folder = Path(self.data_root) / ('test_data' if self.split == 'test' else 'train_data')
        truth = folder / 'ground-truth'
        if not truth.is_dir() and (folder / 'ground_truth').is_dir():
            truth = folder / 'ground_truth'
        self.check_layout(folder / 'images', truth)
        images = list_files(folder / 'images', r'IMG_\d+\.jpg')
        annotations = {
            path.stem.removeprefix('GT_'): path for path in list_files(truth, r'GT_IMG_\d+\.mat')
        }
        pairs = select_by_position(pair_files(images, annotations, folder, problems), self.split)
        return [
            ImageEntry(str(image), image.stem, ann_path=str(annotation))
            for image, annotation in pairs
        ]

    def read_annotation(self, entry: ImageEntry) -> dict:
        path = Path(entry.ann_path)
        image_info = load_mat(path, 'image_info')
        try:
            return dict(points=image_info[0, 0][0, 0]['location'])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: no image_info[0,0][0,0]['location'] ({error})") from error
