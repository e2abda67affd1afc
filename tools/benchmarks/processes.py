"""How much faster two processes with one thread each train than one, on a CPU.

The steps of one process and of two together, of the VGG-16 counter by default, are timed in turn in
one run, so that what else the machine does slows both. The machine should be idle all the same. ::

    python tools/benchmarks/processes.py
"""

import argparse

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.processes import measure, summarize
from mmcrowd.engine.config import read_config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time two processes against one')
    parser.add_argument(
        'config',
        nargs='?',
        default='mmcrowd::pml_vgg16_shb',
        help='config file; default: mmcrowd::pml_vgg16_shb',
    )
    parser.add_argument('--processes', type=int, default=2, help='default: 2')
    parser.add_argument('--size', type=int, default=256, help='side of the images; default: 256')
    parser.add_argument(
        '--batch-size', type=int, default=1, help='images in a step of a process; default: 1'
    )
    parser.add_argument('--steps', type=int, default=3, help='steps of a round; default: 3')
    parser.add_argument('--rounds', type=int, default=5, help='default: 5')
    parser.add_argument('--precision', choices=['fp32', 'bf16'], default='fp32')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    rates = measure(
        read_config(args.config),
        args.batch_size,
        args.size,
        args.steps,
        args.rounds,
        args.processes,
        args.precision,
    )
    print(f'{args.config}: {args.batch_size} x {args.size} x {args.size}, {args.precision}')
    for name, values in (('1 process', rates.one), (f'{args.processes} processes', rates.together)):
        print(f'{name}: {summarize(values, " images/s")}')
    print(f'ratio: {summarize(rates.ratios)}')


if __name__ == '__main__':
    command_line.run(main)
