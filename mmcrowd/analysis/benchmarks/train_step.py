"""A training step of a counter on random images."""

import time
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData, PixelData

from mmcrowd.models.counters.base_counter import BaseCounter
from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample


def make_batch(batch_size: int, size: int, num_points: int, model: BaseCounter) -> dict:
    """Random images with random points, the same in every call.

    Args:
        batch_size: Number of images.
        size: Their side in pixels.
        num_points: Points of each image.
        model: The counter. One with a density gets also the partition that the loader would make,
            of the padded image.

    Returns:
        What a loader gives: ``inputs`` and ``data_samples``.
    """
    stride = getattr(model, 'stride', None)
    divisor = model.data_preprocessor.pad_size_divisor
    generator = torch.Generator().manual_seed(0)
    inputs, samples = [], []
    for _ in range(batch_size):
        points = torch.rand(num_points, 2, generator=generator) * (size - 1)
        sample = CrowdDataSample(metainfo=dict(img_shape=(size, size)))
        sample.gt_instances = InstanceData(points=points)
        if stride is not None:
            cells = -(-size // divisor) * divisor // stride
            index, distance = nearest_point_partition(points, (cells, cells), stride)
            sample.gt_partition = PixelData(index=index[None], distance=distance[None])
        samples.append(sample)
        inputs.append(
            torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)
        )
    return dict(inputs=inputs, data_samples=samples)


def make_step(
    cfg: Config,
    precision: str,
    batch_size: int,
    size: int,
    num_points: int,
    parallel: bool = False,
) -> Callable[[], float]:
    """A function that takes one training step and returns its seconds.

    Args:
        cfg: Config with ``model`` and ``optim_wrapper``. Its pretrained weights are left away.
        precision: Of the counter: ``'fp32'`` or ``'bf16'``.
        batch_size: See :func:`make_batch`.
        size: See :func:`make_batch`.
        num_points: See :func:`make_batch`.
        parallel: Whether the gradient is the mean over the processes of a group of CPUs. Defaults
            to False.
    """
    # The weights do not matter for the time, so no checkpoint is looked for.
    backbone = dict(cfg.model.backbone, init_cfg=None)
    model = MODELS.build(dict(cfg.model, backbone=backbone, precision=precision))
    model = model.to(get_device()).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_batch(batch_size, size, num_points, model)
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
