"""Copy a benchmark with its images resized, once, for faster training.

The copy has the images as JPEG and one ``annotations.json`` in the format of ``CrowdDataset``, with
the splits, the attributes and all that is known of each head. The dataset class of the benchmark
reads the copy as it reads the folder as downloaded; metrics, submissions and results stay in pixels
of the images as downloaded. ::

    python tools/dataset_converters/prepare.py qnrf             # longest side 1536, as for PML
    python tools/dataset_converters/prepare.py qnrf --rule bl --out data/qnrf_bl
    python tools/dataset_converters/prepare.py jhu --longest 1024 --out data/jhu_1024

By default the folder that the configs name is read, and ``prepared/NAME`` beside it is written,
which is what the configs of UCF-QNRF, JHU-CROWD++ and NWPU-Crowd train on. An image that need not
change is copied byte by byte. The same command goes on where it was interrupted, and copies again
what has another size or time of modification than when it was copied; ``annotations.json`` comes
last.
"""

import argparse
import os
from pathlib import Path

from mmcrowd import command_line
from mmcrowd.datasets.resized_copy import AS_IS, BENCHMARKS, prepare
from mmcrowd.datasets.transforms import ResizeToLimits
from mmcrowd.fileio.files import printable


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('benchmark', choices=BENCHMARKS)
    parser.add_argument(
        '--data-root', help='folder as downloaded; default: where the configs look for it'
    )
    parser.add_argument(
        '--out', help='folder of the copy; default: prepared/NAME below the root of all data'
    )
    parser.add_argument(
        '--rule',
        help='a published rule: '
        + '; '.join(f'{name}: {", ".join(b.rules)}' for name, b in BENCHMARKS.items())
        + '; none. Default: the first one',
    )
    parser.add_argument('--longest', type=int, help='own rule: at most this many pixels')
    parser.add_argument(
        '--shortest',
        type=int,
        nargs=2,
        metavar=('LOW', 'HIGH'),
        help='own rule: range of the shorter side in pixels',
    )
    parser.add_argument('--quality', type=int, default=95, help='of the JPEG files; default: 95')
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count(), help='processes; default: all cores'
    )
    args = parser.parse_args(argv)
    rules = {**BENCHMARKS[args.benchmark].rules, **AS_IS}
    own = dict(longest=args.longest, shortest=args.shortest)
    own = {key: value for key, value in own.items() if value is not None}
    if own and args.rule:
        parser.error('--rule and --longest or --shortest exclude each other')
    if args.rule and args.rule not in rules:
        parser.error(f'--rule {args.rule}: {args.benchmark} has {", ".join(rules)}')
    if not 1 <= args.quality <= 100:
        parser.error(f'--quality {args.quality}: expected 1 to 100')
    if args.workers < 1:
        parser.error(f'--workers {args.workers}: expected 1 or more')
    args.limits = own or rules[args.rule or next(iter(rules))]
    try:
        ResizeToLimits(**args.limits)
    except ValueError as error:
        parser.error(str(error))
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    benchmark = BENCHMARKS[args.benchmark]
    root = Path(os.environ.get('MMCROWD_DATA_ROOT') or 'data')
    source = Path(args.data_root or root / benchmark.folder)
    out = Path(args.out or root / 'prepared' / benchmark.folder)
    print(printable(prepare(benchmark, source, out, args.limits, args.quality, args.workers)))


if __name__ == '__main__':
    command_line.run(main)
