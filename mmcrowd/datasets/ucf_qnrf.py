from pathlib import Path

from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset
from .benchmark_files import list_files, load_mat, pair_files
from .image_entry import ImageEntry
from .splits import select_by_position


@DATASETS.register_module()
class UCFQNRFDataset(BaseCrowdDataset):
    """UCF-QNRF (Idrees et al., ECCV 2018), as downloaded: 1201 / 334 images up to 9999 px wide.

    The folders are those of :attr:`LAYOUT`.

    Splits and the rule for points outside are those of :class:`BaseCrowdDataset`.

    Examples:
        >>> dataset = UCFQNRFDataset(data_root='data/qnrf', split='test')  # doctest: +SKIP
        >>> len(dataset)  # doctest: +SKIP
        334
    """

    LAYOUT = """
    UCF-QNRF_ECCV18
    ├── Train
    │   ├── img_0001.jpg
    │   ├── img_0001_ann.mat
    │   └── ...
    └── Test
    """

    METAINFO = dict(dataset_name='UCF-QNRF')

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        folder = Path(self.data_root) / ('Test' if self.split == 'test' else 'Train')
        self.check_layout(folder)
        images = list_files(folder, r'img_\d+\.jpg')
        annotations = {
            path.stem.removesuffix('_ann'): path for path in list_files(folder, r'img_\d+_ann\.mat')
        }
        pairs = select_by_position(pair_files(images, annotations, folder, problems), self.split)
        return [
            ImageEntry(str(image), image.stem, ann_path=str(annotation))
            for image, annotation in pairs
        ]

    def read_annotation(self, entry: ImageEntry) -> dict:
        return dict(points=load_mat(Path(entry.ann_path), 'annPoints'))
