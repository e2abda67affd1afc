"""Time a training step of a counter in both precisions, side by side.

One process builds the model of a config twice, in float32 with contiguous memory and with
``precision='bf16'`` (autocast, channels-last), and runs their steps in turn: forward, loss,
backward and optimizer, on the same drawn crowds. ::

    python tools/analysis_tools/benchmark_train_step.py configs/pml_vgg19_shb.py
"""

import argparse
import statistics

import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.train_step import make_step
from mmcrowd.engine.config import read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time a training step in float32 and bfloat16')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--size',
        type=int,
        default=512,
        help='side of the images, a multiple of what the counter pads to; default: 512',
    )
    parser.add_argument('--batch-size', type=int, default=1, help='images per step; default: 1')
    parser.add_argument('--steps', type=int, default=5, help='timed steps of each; default: 5')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    init_default_scope(cfg.default_scope)
    work = args.batch_size, args.size
    steps = {precision: make_step(cfg, precision, *work) for precision in ('fp32', 'bf16')}
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
