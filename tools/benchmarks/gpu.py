"""Time losses, training steps and inference on a GPU, and measure their memory.

First PML against its dense form, DM-Count and GL at 256 x 256 cells (published: GL takes 3.46 times
as long as PML on an RTX 3090 Ti), then training step and inference of each counter at 512 x 512
pixels, batch 16: float32, channels-last, bfloat16, float16 and compiled. What does not run, or is
not reached in --minutes, is written down with the reason. ::

    python tools/benchmarks/gpu.py --out benchmark.json
    python tools/benchmarks/gpu.py --device cpu --quick
"""

import argparse
import time
from pathlib import Path

import torch
from mmengine.fileio import dump
from mmengine.registry import init_default_scope
from rich.console import Console

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.gpu import (
    COUNTERS,
    PUBLISHED_RATIO,
    VARIANTS,
    describe_device,
    loss_ratios,
    measure_counter,
    measure_losses,
    tabulate,
)
from mmcrowd.engine.config import read_config
from mmcrowd.fileio.files import write_atomic


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time losses and counters on a GPU')
    parser.add_argument('--device', default='cuda', help='default: cuda')
    parser.add_argument('--out', help='JSON file of all numbers')
    parser.add_argument(
        '--points', type=int, nargs='+', default=[54, 400, 1250], help='default: 54 400 1250'
    )
    parser.add_argument(
        '--counters', nargs='*', default=COUNTERS, help='configs of the package; default: all kinds'
    )
    parser.add_argument(
        '--variants', nargs='+', choices=VARIANTS, default=VARIANTS[:4], help='default: all'
    )
    parser.add_argument(
        '--compiled',
        nargs='*',
        default=COUNTERS[:1],
        help='counters that are compiled as well, which takes up to a minute each; default: the '
        'first',
    )
    parser.add_argument('--size', type=int, default=512, help='side of the images; default: 512')
    parser.add_argument('--batch-size', type=int, default=16, help='default: 16')
    parser.add_argument('--seconds', type=float, default=0.5, help='for each number; default: 0.5')
    parser.add_argument('--minutes', type=float, help='start no counter after this; default: none')
    parser.add_argument(
        '--quick', action='store_true', help='tiny sizes and one counter: does it run at all?'
    )
    args = parser.parse_args(argv)
    if args.quick:
        args.points, args.counters, args.compiled = [9], ['pml_mcnn_shb.py'], []
        args.size, args.batch_size, args.seconds = 64, 2, 0.01
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    start = time.monotonic()
    device = torch.device(args.device)
    init_default_scope('mmcrowd')
    cells = args.size // 2
    results = list(measure_losses(args.points, cells, 2, device, args.seconds))
    sizes = args.batch_size, args.size
    left_out = []
    for name in args.counters:
        if args.minutes is not None and time.monotonic() - start > 60 * args.minutes:
            left_out.append(name)
            continue
        variants = [*args.variants, *(['compiled'] if name in args.compiled else [])]
        cfg = read_config(f'mmcrowd::{name}')
        results.extend(measure_counter(name, cfg, variants, sizes, device, args.seconds))

    ratios = loss_ratios(results)
    facts = describe_device(device)
    if args.out:
        content = dict(
            device=facts,
            measurements=[m._asdict() for m in results],
            times_of_pml=ratios,
            left_out=left_out,
        )
        write_atomic(Path(args.out), dump(content, file_format='json', indent=1))
    console = Console(width=120)
    console.print(facts)
    console.print(tabulate(results))
    for points, of in ratios.items():
        listed = ', '.join(f'{name} {ratio:.2f}' for name, ratio in of.items())
        console.print(f'{points}, time / PML: {listed}; published GL: {PUBLISHED_RATIO}')
    if left_out:
        console.print(f'left out, --minutes {args.minutes:g}: {", ".join(left_out)}')


if __name__ == '__main__':
    command_line.run(main)
