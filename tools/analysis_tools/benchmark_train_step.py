"""Time a training step of a counter in both precisions, side by side.

One process builds the model of a config twice, in float32 with contiguous memory and with
``precision='bf16'`` (autocast, channels-last), and runs their steps in turn: forward, loss,
backward and optimizer, on the same random images and points. ::

    python tools/analysis_tools/benchmark_train_step.py configs/pml_vgg19_shb.py
"""

import argparse
import statistics
import time

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmcrowd import command_line
from mmcrowd.engine.config import read_config
from mmcrowd.models.counters.base_counter import BaseCounter
from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time a training step in float32 and bfloat16')
    parser.add_argument('config', help='config file')
    parser.add_argument('--size', type=int, default=512, help='side of the images; default: 512')
    parser.add_argument('--batch-size', type=int, default=1, help='images per step; default: 1')
    parser.add_argument('--points', type=int, default=400, help='points per image; default: 400')
    parser.add_argument('--steps', type=int, default=5, help='timed steps of each; default: 5')
    return parser.parse_args()


def make_batch(batch_size: int, size: int, num_points: int, model: BaseCounter) -> dict:
    """Random images with random points.

    For a counter with a density also the partition that the loader would make, of the padded image.
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


def make_step(cfg: Config, precision: str, args: argparse.Namespace):
    """A function that takes one training step and returns its seconds."""
    # The weights do not matter for the time, so no checkpoint is looked for.
    backbone = dict(cfg.model.backbone, init_cfg=None)
    model = MODELS.build(dict(cfg.model, backbone=backbone, precision=precision))
    model = model.to(get_device()).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_batch(args.batch_size, args.size, args.points, model)
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None

    def step() -> float:
        synchronize()
        start = time.perf_counter()
        model.train_step(dict(batch), optim_wrapper)
        synchronize()
        return time.perf_counter() - start

    return step


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    init_default_scope(cfg.default_scope)
    steps = {precision: make_step(cfg, precision, args) for precision in ('fp32', 'bf16')}
    for step in steps.values():
        step()  # the first one allocates and chooses kernels
    seconds = {precision: [] for precision in steps}
    for _ in range(args.steps):
        for precision, step in steps.items():
            seconds[precision].append(step())

    print(f'{args.config}: {args.batch_size} x {args.size} x {args.size}, {get_device()}')
    print(f'{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}')
    median = {precision: statistics.median(values) for precision, values in seconds.items()}
    for precision, values in seconds.items():
        print(
            f'{precision}: median {median[precision]:.3f} s, '
            f'min {min(values):.3f}, max {max(values):.3f}'
        )
    print(f'fp32 / bf16: {median["fp32"] / median["bf16"]:.2f}')


if __name__ == '__main__':
    command_line.run(main)
