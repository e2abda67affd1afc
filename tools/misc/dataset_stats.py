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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import mmcv
import numpy as np
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track

from mmcrowd import command_line
from mmcrowd.analysis.dataset_figure import CLASSES, draw_dataset
from mmcrowd.engine.config import read_config
from mmcrowd.fileio.files import printable, write_atomic
from mmcrowd.fileio.images import load_image, read_image_shape
from mmcrowd.ops.neighbours import nearest_neighbour_distances
from mmcrowd.registry import DATASETS

MAX_VALUES = 12  # of an attribute in the table; the rarest are told together


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


def read_configs(args: argparse.Namespace) -> dict[str, list[dict]]:
    """For each split the configs of its data sets; splits that are the same are one, 'val, test'.

    Raises:
        ValueError: If the config has none of the data loaders.
    """
    if args.config:
        cfg = read_config(args.config, args.cfg_options, args.data_root)
        init_default_scope(cfg.get('default_scope', 'mmcrowd'))
        loaders = {name: cfg.get(f'{name}_dataloader') for name in args.splits}
        given = {name: list(leaves(loader.dataset)) for name, loader in loaders.items() if loader}
        if not given:
            raise ValueError(f'{args.config} has no data loader of {", ".join(args.splits)}')
    else:
        init_default_scope('mmcrowd')
        common = dict(type=args.type, pipeline=[], **args.cfg_options)
        if args.data_root:
            common['data_root'] = args.data_root
        given = {split: [dict(common, split=split)] for split in args.splits}
    joined: list[tuple[list[dict], list[str]]] = []
    for name, datasets in given.items():
        same = [names for others, names in joined if others == datasets]
        if same:
            same[0].append(name)
        else:
            joined.append((datasets, [name]))
    return {', '.join(names): datasets for datasets, names in joined}


def leaves(cfg: Mapping) -> Iterator[dict]:
    """The configs of the data sets inside wrappers (repeat, concatenate), without pipelines."""
    inner = [*cfg.get('datasets', ()), *([cfg['dataset']] if 'dataset' in cfg else ())]
    for one in inner:
        yield from leaves(one)
    if not inner:
        yield {**{key: cfg[key] for key in cfg if key != 'test_mode'}, 'pipeline': []}


def each(function: Callable, tasks: list, workers: int, what: str) -> list:
    """Results of a function for all tasks, computed in threads under a progress bar."""
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(function, tasks)
        return list(track(results, what, len(tasks), console=Console(stderr=True)))


# ------------------------------------------------------------------------------------ check


def check(configs: Mapping[str, list[dict]], workers: int) -> tuple[dict[str, list[str]], int]:
    """Problems of all splits, with the splits that have them, and the number of image files."""
    problems: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    for split, datasets in configs.items():
        for cfg in datasets:
            dataset = DATASETS.build(dict(cfg, lazy_init=True, cache=False))
            for problem in dataset.find_problems():
                problems.setdefault(str(problem), []).append(split)
            try:
                paths = dataset.image_paths()
            except (ValueError, OSError) as problem:
                # Among the problems above already: where there is no list there are no files.
                problems.setdefault(str(problem), [split])
                continue
            for path in paths:
                files.setdefault(path, []).append(split)
    told = tuple(problems)
    for path, problem in zip(files, each(decode, list(files), workers, 'Decoding'), strict=True):
        # What has no readable header is known already.
        known = (f'{path}:', f'no image file {path}')
        if problem and not any(other.startswith(known) for other in told):
            problems[problem] = files[path]
    problems = {problem: list(dict.fromkeys(splits)) for problem, splits in problems.items()}
    return problems, len(files)


def decode(path: str) -> str | None:
    """What is wrong with an image file."""
    try:
        load_image(path)
    except (ValueError, OSError) as problem:
        return str(problem)
    return None


# ------------------------------------------------------------------------------- statistics


class Image(NamedTuple):
    """What the statistics take of an image."""

    size: tuple[int, int]  # height, width
    points: np.ndarray | None  # (m, 2); None where the annotation is not published
    distances: np.ndarray  # (m,) from each point to its nearest neighbour; none for one point
    attributes: dict


def read_image(source: tuple) -> Image:
    """Image of ``source = (dataset, index)``."""
    dataset, index = source
    info = dataset.get_data_info(index)
    # A data set that renders its images has them in memory.
    size = info['img'].shape[:2] if 'img' in info else read_image_shape(info['img_path'])
    points, distances = info.get('points'), np.zeros(0)
    if points is not None and len(points) > 1:
        distances = nearest_neighbour_distances(points)
    return Image(size, points, distances, info['attributes'])


def summarize(images: list[Image], num_outside: int) -> dict:
    """The numbers of one split."""
    labelled = [image.points for image in images if image.points is not None]
    counts = [len(points) for points in labelled]
    sizes = np.array([image.size for image in images])
    distances = np.concatenate([image.distances for image in images])
    return dict(
        images=len(images),
        unlabelled=len(images) - len(labelled),
        with_nobody=counts.count(0),
        points=sum(counts),
        count=spread(counts, mean=True),
        shorter_side=spread(sizes.min(axis=1)),
        longer_side=spread(sizes.max(axis=1)),
        nearest_neighbour=float(np.median(distances)) if len(distances) else None,
        same_place=sum(len(points) - len(np.unique(points, axis=0)) for points in labelled),
        outside=num_outside,
    )


def spread(values, mean: bool = False) -> dict | None:
    if len(values) == 0:
        return None
    found = dict(min=int(np.min(values)), median=float(np.median(values)))
    if mean:
        found['mean'] = float(np.mean(values))
    return found | dict(max=int(np.max(values)))


def group(splits: Mapping[str, list[Image]]) -> dict[str, dict[str, dict]]:
    """Images and points by the class of the count and by each attribute.

    Attributes are those that are text or whole numbers; of more than ``MAX_VALUES`` values the
    rarest are one.

    Returns:
        Attribute to value to split to ``dict(images, points)``.
    """
    labels = {'people in an image': lambda image: count_class(image.points)}
    every = [image for images in splits.values() for image in images]
    for name in dict.fromkeys(key for image in every for key in image.attributes):
        labels[name] = lambda image, name=name: image.attributes.get(name)
    return {name: grouped for name, label in labels.items() if (grouped := group_by(splits, label))}


def group_by(splits: Mapping[str, list[Image]], label: Callable) -> dict[str, dict]:
    """Images and points by the label of an image; none for one that is no text or whole number."""
    labelled = {
        split: [(value, image) for image in images if isinstance(value := label(image), int | str)]
        for split, images in splits.items()
    }
    total = Counter(value for pairs in labelled.values() for value, _ in pairs)
    kept = [value for value, _ in total.most_common()]
    rest = kept[MAX_VALUES - 1 :] if len(kept) > MAX_VALUES else []
    kept = kept[: len(kept) - len(rest)]
    if all(isinstance(value, int) for value in kept):
        kept.sort()
    elif set(kept) <= set(CLASSES):
        kept.sort(key=list(CLASSES).index)
    rows = {str(value): {value} for value in kept}
    if rest:
        rows[f'{len(rest)} others'] = set(rest)
    return {
        row: {split: tally(pairs, values) for split, pairs in labelled.items()}
        for row, values in rows.items()
    }


def tally(pairs: list[tuple], values: set) -> dict[str, int]:
    found = [image.points for value, image in pairs if value in values]
    return dict(images=len(found), points=sum(len(p) for p in found if p is not None))


def count_class(points: np.ndarray | None) -> str | None:
    if points is None:
        return None
    return next(name for name, (low, high) in CLASSES.items() if low <= len(points) <= high)


# ------------------------------------------------------------------------------------ output

ROWS = {
    'images': 'images',
    'unlabelled': 'without annotation',
    'with_nobody': 'with nobody in them',
    'points': 'points',
    'count': 'count: min / median / mean / max',
    'shorter_side': 'shorter side, px: min / median / max',
    'longer_side': 'longer side, px: min / median / max',
    'nearest_neighbour': 'to the nearest neighbour, px: median',
    'same_place': 'points at the place of another one',
    'outside': 'points outside their image (moved inside)',
}


def name_of_class(args: argparse.Namespace) -> str:
    return f'{args.type}, {Path(args.data_root).resolve().name}' if args.data_root else args.type


def write_table(stats: dict) -> str:
    splits = stats['splits']
    rows = [[words, *(shown(splits[s][key]) for s in splits)] for key, words in ROWS.items()]
    blocks = [f'# {stats["title"]}', markdown(['', *splits], rows)]
    for name, values in stats['groups'].items():
        rows = [
            [value, *(f'{n["images"]:,} / {n["points"]:,}' for n in of_split.values())]
            for value, of_split in values.items()
        ]
        blocks.append(markdown([f'{name}: images / points', *splits], rows))
    return '\n\n'.join(blocks)


def shown(value: float | Mapping | None) -> str:
    if value is None:
        return '–'
    if isinstance(value, Mapping):
        return ' / '.join(map(shown, value.values()))
    return f'{value:,.0f}' if float(value).is_integer() else f'{value:,.1f}'


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table with its columns in line, the first one to the left."""
    widths = [max(3, *map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [head, *rows]
    ]
    lines.insert(1, ['-' * widths[0], *('-' * (width - 1) + ':' for width in widths[1:])])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    configs = read_configs(args)
    if args.check:
        problems, number = check(configs, args.workers)
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
        sources = [(dataset, i) for dataset in datasets for i in range(len(dataset))]
        splits[name] = each(read_image, sources, args.workers, f'Reading {name}')
        outside[name] = sum(dataset.num_outside for dataset in datasets)
    stats = dict(
        title=Path(args.config).stem if args.config else name_of_class(args),
        splits={name: summarize(images, outside[name]) for name, images in splits.items()},
        groups=group(splits),
    )
    table = write_table(stats)
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
