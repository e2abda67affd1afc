"""Measure what every part costs on this machine, and write the page docs/performance.md.

Training step and inference of one counter of each system, losses, localizers, metrics, the loader
of ShanghaiTech B and of large photos, step by step, one process of one thread against two, and how
long a training waits for its loader. On two cores this takes about a quarter of an hour; nothing
else should run. ``--quick`` is a trial with tiny sizes. ::

    python tools/benchmarks/performance.py data/ShanghaiTech --out docs/performance.md
"""

import argparse
from pathlib import Path

from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.gpu import COUNTERS
from mmcrowd.analysis.benchmarks.performance import performance_page
from mmcrowd.fileio.files import write_atomic


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure everything, and write a page of it')
    parser.add_argument('data', help='folder of ShanghaiTech, with part_A and part_B')
    parser.add_argument('--out', help='page in Markdown; default: printed only')
    parser.add_argument('--counters', nargs='*', default=COUNTERS, help='default: all kinds')
    parser.add_argument(
        '--size',
        type=int,
        default=224,
        help='side of the images; default: 224, which all counters can take',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=1.0,
        help='for each number; three calls at least; default: 1',
    )
    parser.add_argument('--num-images', type=int, default=128, help='of the loader; default: 128')
    parser.add_argument('--quick', action='store_true', help='tiny sizes: does it run at all?')
    args = parser.parse_args(argv)
    if args.quick:
        args.counters, args.size, args.seconds, args.num_images = ['pml_mcnn_shb.py'], 64, 0.01, 4
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmcrowd')
    parts = []
    for part in performance_page(
        Path(args.data), args.counters, args.size, args.seconds, args.num_images, args.quick
    ):
        print(part, flush=True)
        parts.append(part)
    if args.out:
        write_atomic(Path(args.out), '\n\n'.join(parts) + '\n')


if __name__ == '__main__':
    command_line.run(main)
