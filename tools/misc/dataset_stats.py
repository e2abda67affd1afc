"""Count what a data set holds, or check all of its files.

For each split a column of numbers: images, points, counts, image sizes, points at one place or
outside their image, distances of neighbours, and images and points for each label that the
benchmark gives its images. The table is printed and, with ``--out-dir``, written as ``stats.md``
and ``stats.json`` beside the picture ``stats.png``. The data set is that of a config, or a class
and a folder. ::

    python tools/misc/dataset_stats.py configs/pml_vgg16_shb.py --out-dir stats/shb
    python tools/misc/dataset_stats.py --type UCFCC50Dataset --data-root data/UCF_CC_50 \\
        --cfg-options fold=1

``--check`` reads all annotations and decodes all images instead, tells every problem of all splits
at once, and exits with 1 if there is any. ::

    python tools/misc/dataset_stats.py configs/pml_vgg16_shb.py --check
"""

import argparse
import json
import os
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.dataset_figure import CLASSES, draw_dataset
from mmcrowd.datasets import statistics
from mmcrowd.engine.config import read_config
from mmcrowd.fileio.files import printable, write_atomic
from mmcrowd.registry import DATASETS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Count what a data set holds, or check its files')
    parser.add_argument('config', nargs='?', help='config whose data loaders name the data sets')
    parser.add_argument('--type', help='instead of a config: class of the data set')
    parser.add_argument('--data-root', help='folder of the data set, as downloaded or prepared')
    parser.add_argument(
        '--splits',
        nargs='+',
        default=['train', 'val', 'test'],
        metavar='SPLIT',
        help='data loaders of the config, or splits of the class; default: train val test',
    )
    parser.add_argument('--out-dir', help='folder for stats.md, stats.json and stats.png')
    parser.add_argument('--check', action='store_true', help='check all files instead')
    parser.add_argument(
        '--workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='threads that read images; default: %(default)s',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='key=value overrides of the config, or with --type arguments of the class',
    )
    args = parser.parse_args(argv)
    if (args.config is None) == (args.type is None):
        parser.error('give a config or --type, one of the two')
    if args.workers < 1:
        parser.error(f'--workers {args.workers}, expected 1 or more')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.config:
        title = Path(args.config).stem
        cfg = read_config(args.config, args.cfg_options, args.data_root)
        init_default_scope(cfg.get('default_scope', 'mmcrowd'))
        loaders = {name: cfg.get(f'{name}_dataloader') for name in args.splits}
        given = {name: loader.dataset for name, loader in loaders.items() if loader}
        if not given:
            raise ValueError(f'{args.config} has no data loader of {", ".join(args.splits)}')
    else:
        title = args.type
        init_default_scope('mmcrowd')
        common = dict(type=args.type, **args.cfg_options)
        if args.data_root:
            title += f', {Path(args.data_root).resolve().name}'
            common['data_root'] = args.data_root
        given = {split: dict(common, split=split) for split in args.splits}
    configs = statistics.split_configs(given)

    if args.check:
        problems, number = statistics.check(configs, args.workers)
        if problems:
            print(f'{len(problems)} problem{"s" if len(problems) > 1 else ""}:')
            for problem, names in problems.items():
                print(printable(f'- {", ".join(names)}: {problem}'))
            raise SystemExit(1)
        names = ', '.join(configs)
        print(f'No problems: all annotations read and {number:,} images decoded of {names}.')
        return

    splits, outside = {}, {}
    for name, cfgs in configs.items():
        datasets = [DATASETS.build(cfg) for cfg in cfgs]
        splits[name] = statistics.read_images(datasets, args.workers, f'Reading {name}')
        outside[name] = sum(dataset.num_outside for dataset in datasets)
    stats = dict(
        title=title,
        splits={
            name: statistics.summarize(images, outside[name]) for name, images in splits.items()
        },
        groups=statistics.group(splits, CLASSES),
    )
    table = statistics.statistics_table(stats)
    print(printable(table))
    if args.out_dir:
        out = Path(args.out_dir)
        write_atomic(out / 'stats.md', table + '\n')
        write_atomic(out / 'stats.json', json.dumps(stats, indent=1))
        picture = draw_dataset(
            {
                name: np.array([len(i.points) for i in images if i.points is not None], int)
                for name, images in splits.items()
            },
            {name: np.array([i.size for i in images]) for name, images in splits.items()},
            {
                name: np.concatenate([i.distances for i in images])
                for name, images in splits.items()
            },
            printable(stats['title']),
        )
        mmcv.imwrite(picture[..., ::-1], str(out / 'stats.png'))
        print(printable(f'\n{out}: stats.md, stats.json, stats.png'))


if __name__ == '__main__':
    command_line.run(main)
