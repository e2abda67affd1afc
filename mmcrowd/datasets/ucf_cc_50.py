from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmcrowd.fileio.files import printable
from mmcrowd.fileio.problems import Problems
from mmcrowd.registry import DATASETS

from .base_crowd_dataset import BaseCrowdDataset
from .benchmark_files import list_files, load_mat, pair_files
from .image_entry import ImageEntry
from .splits import select_by_position

NUM_FOLDS = 5
NUM_IMAGES = 50


@DATASETS.register_module()
class UCFCC50Dataset(BaseCrowdDataset):
    """UCF_CC_50 (Idrees et al., CVPR 2013), as downloaded: 50 grey images of dense crowds.

    The folder is that of :attr:`LAYOUT`.

    The benchmark is five-fold cross-validation: five models, each tested on one fold, and the mean
    of their errors. There are no official lists of the folds, so papers differ in them. Here, with
    the n images in natural order of their names numbered from 0, fold ``k`` is what
    ``numpy.random.RandomState(seed).permutation(n)[k::5]`` holds: ten images of the fifty.

    ``split='test'`` is that fold. The other images, in natural order, are the training images, of
    which every tenth is for validation, by the rule of :class:`BaseCrowdDataset`: 36 / 4 / 10
    images for training / validation / test. The rule for points outside is there too.

    Any number of images from five on is read; a warning says so where it is not 50.

    Args:
        fold: Number of the fold that is tested, 0 to 4.
        seed: Seed of the folds, from 0 on. Compare models on the folds of one seed.
        **kwargs: Arguments of :class:`BaseCrowdDataset`.

    Raises:
        ValueError: For another fold or seed, or fewer than five images.

    Examples:
        >>> dataset = UCFCC50Dataset(data_root='data/ucf', split='test')  # doctest: +SKIP
        >>> len(dataset)  # doctest: +SKIP
        10
    """

    LAYOUT = """
    UCF_CC_50
    ├── 1.jpg
    ├── 1_ann.mat
    ├── 2.jpg
    └── ...
    """

    METAINFO = dict(dataset_name='UCF_CC_50')

    def __init__(self, fold: int = 0, seed: int = 0, **kwargs):
        if fold not in range(NUM_FOLDS):
            raise ValueError(f'UCFCC50Dataset: fold={fold!r}, expected 0 to {NUM_FOLDS - 1}')
        if seed not in range(2**32):
            raise ValueError(f'UCFCC50Dataset: seed={seed!r}, expected an integer from 0 on')
        self.fold = fold
        self.seed = seed
        super().__init__(**kwargs)

    def list_images(self, problems: Problems) -> list[ImageEntry]:
        root = Path(self.data_root)
        self.check_layout(root)
        images = list_files(root, r'\d+\.jpg')
        self._check_number(len(images))
        annotations = {
            path.stem.removesuffix('_ann'): path for path in list_files(root, r'\d+_ann\.mat')
        }
        pairs = self._select_fold(pair_files(images, annotations, root, problems))
        return [
            ImageEntry(str(image), image.stem, ann_path=str(annotation))
            for image, annotation in pairs
        ]

    def select_split(self, entries: list[ImageEntry]) -> list[ImageEntry]:
        self._check_number(len(entries))
        return self._select_fold(entries)

    def _check_number(self, number: int) -> None:
        if number == 0:
            raise self.wrong_root(f'no image in {self.data_root}')
        if number < NUM_FOLDS:
            raise ValueError(f'{self.data_root}: {number} images, expected at least {NUM_FOLDS}')
        if number != NUM_IMAGES:
            MMLogger.get_current_instance().warning(
                printable(
                    f'{self.data_root}: {number} images; UCF_CC_50 has {NUM_IMAGES}, so results '
                    'will not compare with published ones.'
                )
            )

    def _select_fold(self, images: list) -> list:
        # This generator, not a newer one, because NumPy promises that it will never change.
        order = np.random.RandomState(self.seed).permutation(len(images))
        tested = set(order[self.fold :: NUM_FOLDS].tolist())
        if self.split == 'test':
            return [images[i] for i in sorted(tested)]
        others = [image for i, image in enumerate(images) if i not in tested]
        return select_by_position(others, self.split)

    def read_annotation(self, entry: ImageEntry) -> dict:
        return dict(points=load_mat(Path(entry.ann_path), 'annPoints'))
