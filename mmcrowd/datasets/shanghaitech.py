from pathlib import Path

from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset, list_files, load_mat, pair_files


@DATASETS.register_module()
class ShanghaiTechDataset(BaseCrowdDataset):
    """ShanghaiTech, part A or B (Zhang et al., CVPR 2016), as downloaded.

    ``data_root`` is the folder of one part; ``ground_truth`` and ``ground-truth`` are both read. ::

        part_A[_final]
        ├── train_data
        │   ├── images
        │   │   └── IMG_1.jpg ...
        │   └── ground-truth
        │       └── GT_IMG_1.mat ...
        └── test_data
            ├── images
            └── ground-truth

    Part A has 300 / 182 images for training / test, part B 400 / 316. The image ``IMG_98`` of
    part A's test set is the same file as ``IMG_121`` of its training set; the official split is
    kept as it is.

    Splits and the rule for points outside are those of :class:`BaseCrowdDataset`.
    """

    METAINFO = dict(dataset_name='ShanghaiTech')

    def load_data_list(self) -> list[dict]:
        part = Path(self.data_root)
        folder = part / ('test_data' if self.split == 'test' else 'train_data')
        truth = [folder / name for name in ('ground-truth', 'ground_truth')]
        truth = [path for path in truth if path.is_dir()]
        if not truth or not (folder / 'images').is_dir():
            raise FileNotFoundError(
                f'{folder}: expected the folders images and ground-truth (or ground_truth); '
                f'data_root={self.data_root!r} must be part_A or part_B of ShanghaiTech'
            )
        images = list_files(folder / 'images', r'IMG_\d+\.jpg')
        annotations = {
            path.stem.removeprefix('GT_'): path for path in list_files(truth[0], r'GT_IMG_\d+\.mat')
        }
        pairs = self._select_split(pair_files(images, annotations, folder))
        return self._finish(
            [
                dict(
                    img_path=str(image),
                    img_id=image.stem,
                    ann_path=str(annotation),
                    points=self._read_points(annotation),
                )
                for image, annotation in pairs
            ]
        )

    @staticmethod
    def _read_points(path: Path):
        info = load_mat(path, 'image_info')
        try:
            return info[0, 0][0, 0]['location']
        except (IndexError, KeyError, ValueError) as error:
            raise KeyError(f"{path}: no image_info[0,0][0,0]['location'] ({error})") from error
