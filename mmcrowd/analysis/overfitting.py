"""Does a counter learn a few crops by heart?

A network, a loss and a rate that fit each other do within some hundred steps; where the error stays
that of predicting the mean, one of them is wrong, and a long training would not tell which.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from torch.utils.data import Dataset

from mmcrowd.datasets.sample_seed import SeededSamples
from mmcrowd.evaluation.functional.localization import localization_scores, match_points
from mmcrowd.models.counters.base_counter import BaseCounter
from mmcrowd.registry import DATASETS, MODELS
from mmcrowd.structures.frame import to_input_frame
from mmcrowd.structures.sample_reader import SampleReader


class Overfit(NamedTuple):
    """What a counter made of its crops.

    Attributes:
        mean_mae: Mean absolute error of predicting the mean count of the crops for each of them.
        mae: That of the counter after training, in evaluation mode.
        f1: F1 of its points, 0 to 1, matched within the radius in pixels of the crops; None for a
            counter without points.
        loss: Sum of the loss in the first step and in the last; it may have other terms in a later
            epoch.
        seconds: The training took.
    """

    mean_mae: float
    mae: float
    f1: float | None
    loss: tuple[float, float]
    seconds: float


def overfit(
    cfg: Config,
    num_crops: int = 16,
    num_steps: int = 200,
    batch_size: int = 4,
    radius: float = 8.0,
    epochs: int = 1,
    min_heads: int = 0,
) -> Overfit:
    """Train the model of a config on a few fixed crops, and see what it makes of them.

    The crops are the first samples of the training pipeline that hold enough heads, each drawn
    once. The optimizer is the
    config's, its rate constant for three quarters of the steps and a tenth of that for the rest;
    schedules, hooks and validation of the config take no part.

    Args:
        cfg: Config with ``model``, ``train_dataloader`` and ``optim_wrapper``.
        num_crops: Number of crops. Defaults to 16.
        num_steps: Number of steps. Defaults to 200.
        batch_size: Crops of a step; the crops are taken in turn. Defaults to 4.
        radius: Within which points are matched, in pixels of the crop. Defaults to 8.
        epochs: Number of epochs that the steps are spread over, for losses that change with the
            epoch; see :class:`~mmcrowd.models.losses.OutputLoss`. Defaults to 1, all steps are of
            epoch 0.
        min_heads: Least number of heads of a crop. Defaults to 0.

    Raises:
        ValueError: ``batch_size`` does not divide the number of crops, the data set has fewer, all
            crops hold as many people, or there are more epochs than steps, or none.
    """
    if num_crops % batch_size:
        raise ValueError(f'batch_size {batch_size} does not divide the {num_crops} crops')
    if not 1 <= epochs <= num_steps:
        raise ValueError(f'{epochs} epochs, expected 1 to {num_steps}, the number of steps')
    samples = _draw(DATASETS.build(cfg.train_dataloader.dataset), num_crops, min_heads)
    true = np.array([len(sample['data_samples'].gt_instances.points) for sample in samples])
    mean_mae = float(np.abs(true - true.mean()).mean())
    if not mean_mae:
        raise ValueError(f'each of the {num_crops} crops holds {true[0]} people')

    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    batches = [samples[k : k + batch_size] for k in range(0, num_crops, batch_size)]
    begin = time.perf_counter()
    losses = _train(model.train(), cfg.optim_wrapper, batches, num_steps, epochs)
    seconds = time.perf_counter() - begin
    predicted, f1 = _predict(model.eval(), batches, radius)
    mae = float(np.abs(predicted - true).mean())
    return Overfit(mean_mae, mae, f1, (losses[0], losses[-1]), seconds)


def _draw(dataset: Dataset, num_crops: int, min_heads: int) -> list[dict]:
    """The first samples with so many heads."""
    draw, samples = SeededSamples(dataset, seed=0), []
    number = len(dataset)  # type: ignore[arg-type]
    for index in range(number):
        (sample,) = draw([index])
        if len(sample['data_samples'].gt_instances.points) >= min_heads:
            samples.append(sample)
        if len(samples) == num_crops:
            return samples
    raise ValueError(
        f'{num_crops} crops with {min_heads} heads or more are wanted, but of {number} samples '
        f'{len(samples)} are such'
    )


def _train(
    model: BaseCounter,
    optim_wrapper: dict,
    batches: Sequence[list[dict]],
    num_steps: int,
    epochs: int,
) -> list[float]:
    """The loss of each step."""
    wrapper = build_optim_wrapper(model, optim_wrapper)
    hub = MessageHub.get_current_instance()  # where a runner tells the epoch, too
    before = hub.get_info('epoch', 0)
    losses = []
    try:
        for step in range(num_steps):
            hub.update_info('epoch', step * epochs // num_steps)
            if step == num_steps * 3 // 4:
                for group in wrapper.param_groups:
                    group['lr'] *= 0.1
            logged = model.train_step(pseudo_collate(batches[step % len(batches)]), wrapper)
            losses.append(logged['loss'].item())
    finally:
        hub.update_info('epoch', before)
    return losses


@torch.no_grad()
def _predict(
    model: BaseCounter, batches: Sequence[list[dict]], radius: float
) -> tuple[np.ndarray, float | None]:
    """Counts of the crops, and F1 of the points over all of them."""
    counts, has_points = [], False
    matched = predicted = true = 0
    for batch in batches:
        for sample in model.test_step(pseudo_collate(batch)):
            read = SampleReader(sample, 'overfit')
            counts.append(float(read.value('pred_count')))
            if (points := read.pred_points) is None:
                continue
            has_points = True
            heads = sample.gt_instances.points.cpu().numpy()
            matched += len(match_points(to_input_frame(points, read.meta), heads, radius)[0])
            predicted, true = predicted + len(points), true + len(heads)
    scores = localization_scores(matched, predicted - matched, true - matched)
    return np.array(counts), scores['F1'] if has_points else None
