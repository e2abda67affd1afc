"""A few steps of training on real images."""

import random

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmcrowd.models import BaseCounter
from mmcrowd.registry import DATASETS, MODELS


def train_steps(
    cfg: Config, model: dict, crop_size: int, steps: int, lr: float = 3e-3
) -> tuple[BaseCounter, list[float], dict]:
    """Train on one batch of crops.

    Args:
        cfg: Config of a system.
        model: What is smaller than in its model.
        crop_size: Side of the crops in pixels.
        steps: Number of steps.
        lr: Learning rate of Adam. Defaults to 3e-3.

    Returns:
        The counter, its loss in every step, and the batch as the pipeline gives it.
    """
    init_default_scope(cfg.default_scope)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    merged = ConfigDict(Config._merge_a_into_b(model, cfg.model))
    counter = MODELS.build(merged).train()
    counter.init_weights()
    dataset = cfg.train_dataloader.dataset
    for step in dataset.pipeline:
        if 'crop_size' in step:
            step.crop_size = crop_size
    dataset = DATASETS.build(dict(dataset, indices=2))
    batch = pseudo_collate([dataset[0], dataset[1]])
    assert any(sample.gt_count for sample in batch['data_samples'])
    optimizer = build_optim_wrapper(counter, dict(optimizer=dict(type='Adam', lr=lr)))
    losses = [counter.train_step(batch, optimizer)['loss'].item() for _ in range(steps)]
    return counter.eval(), losses, batch
