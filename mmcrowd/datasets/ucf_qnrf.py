from pathlib import Path

from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset, list_files, load_mat, pair_files


@DATASETS.register_module()
class UCFQNRFDataset(BaseCrowdDataset):
    """UCF-QNRF (Idrees et al., ECCV 2018), as downloaded: 1201 / 334 images up to 9999 px wide. ::

        UCF-QNRF_ECCV18
        ├── Train
        │   ├── img_0001.jpg
        │   ├── img_0001_ann.mat
        │   └── ...
        └── Test

    Splits and the rule for points outside are those of :class:`BaseCrowdDataset`.
    """

    METAINFO = dict(dataset_name='UCF-QNRF')

    def list_images(self, problems: list[Exception]) -> list[dict]:
        folder = Path(self.data_root) / ('Test' if self.split == 'test' else 'Train')
        self.require(folder)
        images = list_files(folder, r'img_\d+\.jpg')
        annotations = {
            path.stem.removesuffix('_ann'): path for path in list_files(folder, r'img_\d+_ann\.mat')
        }
        pairs = self._select_split(pair_files(images, annotations, folder, problems))
        return [
            dict(img_path=str(image), img_id=image.stem, ann_path=str(annotation))
            for image, annotation in pairs
        ]

    def read_annotation(self, info: dict) -> dict:
        return dict(points=load_mat(Path(info['ann_path']), 'annPoints'))
