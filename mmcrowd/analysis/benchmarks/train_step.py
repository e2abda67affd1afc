"""A training step of a counter on drawn crowds."""

import copy
import time
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper

from mmcrowd.datasets import SeededSamples, SyntheticCrowdDataset
from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.engine.config import without_pretraining
from mmcrowd.registry import MODELS


def make_batch(cfg: Config, batch_size: int, size: int) -> dict:
    """Drawn crowds through the training pipeline of a config, the same in every call.

    So the samples have what the loss of the config needs, such as a partition or boxes.

    Args:
        cfg: Config with ``train_dataloader``. Its pipeline cuts crops of ``size`` out.
        batch_size: Number of images.
        size: Their side in pixels; where the loader makes a partition, a multiple of what the
            counter pads images to.

    Returns:
        What a loader gives: ``inputs`` and ``data_samples``.

    Raises:
        ValueError: The counter would pad images beyond their partition.
    """
    configured = unwrap(cfg.train_dataloader.dataset)[0]
    divisor = cfg.model.data_preprocessor.get('pad_size_divisor', 32)
    if configured.get('partition_stride') is not None and size % divisor:
        raise ValueError(
            f'size={size}, expected a multiple of {divisor}: {cfg.filename} pads images to one, '
            'and the partition of a crop covers the crop alone'
        )
    pipeline = copy.deepcopy(configured.pipeline)
    for step in pipeline:
        if 'crop_size' in step:
            step.crop_size = size
        if step.type == 'ResizeToFit':
            step.size = (size, size)
        step.pop('shortest', None)  # which would enlarge them
    dataset = SyntheticCrowdDataset(
        num_images=batch_size,
        img_size=(size, size),
        pipeline=pipeline,
        partition_stride=configured.get('partition_stride'),
    )
    return pseudo_collate(SeededSamples(dataset, seed=0)(range(batch_size)))


def make_step(
    cfg: Config,
    precision: str,
    batch_size: int,
    size: int,
    parallel: bool = False,
) -> Callable[[], float]:
    """A function that takes one training step and returns its seconds.

    Args:
        cfg: Config with ``model``, ``train_dataloader`` and ``optim_wrapper``. Its pretrained
            weights are left away.
        precision: Of the counter: ``'fp32'`` or ``'bf16'``.
        batch_size: See :func:`make_batch`.
        size: See :func:`make_batch`.
        parallel: Whether the gradient is the mean over the processes of a group of CPUs. Defaults
            to False.
    """
    # The weights do not matter for the time, so no checkpoint is looked for.
    model = MODELS.build(dict(without_pretraining(cfg.model), precision=precision))
    model = model.to(get_device()).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_batch(cfg, batch_size, size)
    if parallel:
        model = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None

    def step() -> float:
        synchronize()
        start = time.perf_counter()
        model.train_step(dict(batch), optim_wrapper)
        synchronize()
        return time.perf_counter() - start

    return step
