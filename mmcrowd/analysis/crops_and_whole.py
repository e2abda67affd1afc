"""Does a counter count crops, from which it has learned, as it counts whole images?

Training sees crops, often few to a batch and resampled; a test sees whole images. Where batch
normalisation takes its statistics from a batch of few crops, where no crop shows pixels as sharp as
a file has them, where the edges of crops count otherwise, or where crops seldom show a part of the
image, the sum of the density is right on the one and wrong on the other by a factor. The lines of
the table tell the causes apart.
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.utils.data import Dataset

from mmcrowd.datasets.sample_seed import SeededSamples
from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.models.counters.base_counter import BaseCounter
from mmcrowd.models.slide_inference import SlideInference
from mmcrowd.registry import DATASETS

TILE_DIVISOR = 32  # of the sides of tiles


class CountRatio(NamedTuple):
    """Sum of the predicted over the sum of the true counts of a set of crops or images.

    Attributes:
        name: What they are.
        num: How many.
        ratio: Of the sums.
        error: Standard error of the ratio, for sets drawn like this one.
        dense: Ratio in the quarter of them that has most people.
        mae: Mean absolute error of their counts.
    """

    name: str
    num: int
    ratio: float
    error: float
    dense: float
    mae: float


def count_ratio(name: str, predicted: np.ndarray, true: np.ndarray) -> CountRatio:
    """Summarise counts.

    The error is that of a ratio estimator: the residuals ``predicted - ratio * true`` spread by
    it times the sum of ``true`` over the root of their number.

    Args:
        name: What was counted.
        predicted: ``(n,)``.
        true: ``(n,)``, with a positive sum.

    Raises:
        ValueError: There is nobody in the images.

    Examples:
        >>> row = count_ratio('images', np.array([9.0, 18.0]), np.array([10, 20]))
        >>> f'{row.ratio:.2f} {row.error:.2f} {row.mae:.1f}'
        '0.90 0.00 1.5'
    """
    predicted, true = np.asarray(predicted, float), np.asarray(true, float)
    if not true.sum() > 0:
        raise ValueError(f'{name}: nobody in {len(true)} images, so there is no ratio to them')
    ratio = predicted.sum() / true.sum()
    residuals = predicted - ratio * true
    n = len(true)
    error = np.sqrt(n / max(n - 1, 1) * (residuals**2).sum()) / true.sum()
    dense = np.argsort(-true, kind='stable')[: max(n // 4, 1)]
    return CountRatio(
        name,
        n,
        float(ratio),
        float(error),
        float(predicted[dense].sum() / true[dense].sum()),
        float(np.abs(predicted - true).mean()),
    )


def compare_crops_and_whole(
    cfg: Config, model: BaseCounter, num_images: int = 100
) -> Iterator[CountRatio]:
    """Count crops and whole images of a config's data with one model.

    Args:
        cfg: Config with ``train_dataloader`` and ``val_dataloader``.
        model: Model with the weights to examine, on its device. It is left as it was.
        num_images: As many of the first images of each data set, at most. Defaults to 100.

    Yields:
        The lines, in this order: the crops of the training pipeline with the statistics of their
        batch (only if the model has batch normalisation that uses them); the same crops in
        evaluation mode; crops of the same size that are not resized (if the pipeline has a
        ``RandomScaleCrop``); whole training images; the same images in tiles of the size of a crop
        that see nothing beside them (if there is one, a multiple of 32): all parts of an image as
        the network would see them in a crop; whole validation images.

    Raises:
        ValueError: There is nobody in the images.
    """
    loader = cfg.train_dataloader
    crops = copy.deepcopy(loader.dataset)
    whole = copy.deepcopy(loader.dataset)
    for dataset in unwrap(whole):
        dataset['pipeline'] = unwrap(cfg.val_dataloader.dataset)[0]['pipeline']
        dataset.pop('partition_stride', None)
    evaluated = copy.deepcopy(model).eval()
    trained = copy.deepcopy(model).train()

    drawn = DATASETS.build(crops)
    if _uses_batch_statistics(trained):
        yield _count(
            'training crops, statistics of the batch', trained, drawn, num_images, loader.batch_size
        )
    yield _count('training crops', evaluated, drawn, num_images)
    if unscaled := _without_scaling(crops):
        yield _count('unscaled crops', evaluated, DATASETS.build(unscaled), num_images)
    yield _count('whole training images', evaluated, DATASETS.build(whole), num_images)
    if (size := _crop_size(crops)) and not any(side % TILE_DIVISOR for side in size):
        tiled = copy.deepcopy(evaluated)
        tiled.inference = SlideInference(size, halo=0, min_pixels=0, divisor=TILE_DIVISOR)
        name = 'whole training images, in tiles'
        yield _count(name, tiled, DATASETS.build(whole), num_images)
    validation = DATASETS.build(cfg.val_dataloader.dataset)
    yield _count('whole validation images', evaluated, validation, num_images)


@torch.no_grad()
def _count(
    name: str, model: BaseCounter, dataset: Dataset, num_images: int, batch_size: int = 1
) -> CountRatio:
    """Count the first images, in batches."""
    seeded = SeededSamples(dataset, seed=0)
    predicted, true = [], []
    num_images = min(num_images, len(dataset))  # type: ignore[arg-type]  # all of ours have a length
    for start in range(0, num_images, batch_size):
        places = range(start, min(start + batch_size, num_images))
        if len(places) < batch_size:
            break  # as drop_last does in training
        batch = model.data_preprocessor(pseudo_collate(seeded(places)), training=model.training)
        for sample in model(**batch, mode='predict'):
            predicted.append(sample.pred_count)
            true.append(len(sample.gt_instances.points))
    return count_ratio(name, np.array(predicted), np.array(true))


def _uses_batch_statistics(model: torch.nn.Module) -> bool:
    norms = torch.nn.modules.batchnorm._BatchNorm
    return any(isinstance(module, norms) and module.training for module in model.modules())


def _scaling_crops(dataset: dict) -> list[dict]:
    """The steps of the pipelines that scale and crop."""
    steps = [step for inner in unwrap(dataset) for step in inner.get('pipeline', [])]
    return [step for step in steps if step['type'].rpartition('.')[2] == 'RandomScaleCrop']


def _without_scaling(dataset: dict) -> dict | None:
    """The data set's config with crops at scale 1, or None if its pipeline does not scale."""
    dataset = copy.deepcopy(dataset)
    scaling = _scaling_crops(dataset)
    for step in scaling:
        step['scale_range'] = (1.0, 1.0)
    return dataset if scaling else None


def _crop_size(dataset: dict) -> tuple[int, int] | None:
    """Height and width of the first crops."""
    for step in _scaling_crops(dataset):
        size = step.get('crop_size', 512)
        return (size, size) if isinstance(size, int) else tuple(size)
    return None
