"""What datasets hold, in numbers, and what is wrong with their files."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from mmcrowd.fileio.images import load_image, read_image_shape
from mmcrowd.fileio.tables import markdown_table
from mmcrowd.ops.neighbours import nearest_neighbour_distances
from mmcrowd.registry import DATASETS

from .wrappers import unwrap

MAX_VALUES = 12  # of an attribute in the table; the rarest are told together

# What the table says of each number.
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


def split_configs(datasets: Mapping[str, Mapping]) -> dict[str, list[dict]]:
    """For each split the configs of its datasets inside wrappers, without their pipelines.

    Args:
        datasets: Config of the dataset of each split, perhaps a wrapper.

    Returns:
        Splits that are the same are one, ``'val, test'``.
    """
    joined: list[tuple[list[dict], list[str]]] = []
    for name, dataset in datasets.items():
        inner = [
            {**{key: cfg[key] for key in cfg if key != 'test_mode'}, 'pipeline': []}
            for cfg in unwrap(dataset)
        ]
        same = [names for others, names in joined if others == inner]
        if same:
            same[0].append(name)
        else:
            joined.append((inner, [name]))
    return {', '.join(names): inner for inner, names in joined}


def check(configs: Mapping[str, list[dict]], workers: int) -> tuple[dict[str, list[str]], int]:
    """Read all annotations and decode all images.

    Args:
        configs: Configs of the datasets of each split.
        workers: Number of threads.

    Returns:
        The splits in which each problem is, by its text, and the number of image files.
    """
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
    for path, problem in zip(files, _each(decode, list(files), workers, 'Decoding'), strict=True):
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


class ImageFacts(NamedTuple):
    """What the statistics take of an image."""

    size: tuple[int, int]  # height, width
    points: np.ndarray | None  # (m, 2); None where the annotation is not published
    distances: np.ndarray  # (m,) from each point to its nearest neighbour; none for one point
    attributes: dict


def read_image(source: tuple) -> ImageFacts:
    """The facts of the image of ``source = (dataset, index)``."""
    dataset, index = source
    info = dataset.get_data_info(index)
    # A data set that renders its images has them in memory.
    size = info['img'].shape[:2] if 'img' in info else read_image_shape(info['img_path'])
    points, distances = info.get('points'), np.zeros(0)
    if points is not None and len(points) > 1:
        distances = nearest_neighbour_distances(points)
    return ImageFacts(size, points, distances, info['attributes'])


def read_images(datasets: list, workers: int, title: str) -> list[ImageFacts]:
    """The facts of all images of some datasets, under a progress bar."""
    sources = [(dataset, i) for dataset in datasets for i in range(len(dataset))]
    return _each(read_image, sources, workers, title)


def summarize(images: list[ImageFacts], num_outside: int) -> dict:
    """The numbers of one split.

    Args:
        images: Facts of its images.
        num_outside: How many points lay outside their image.

    Returns:
        Numbers by the keys of :data:`ROWS`; None for what no image has, and dicts of ``min``,
        ``median``, ``max`` and perhaps ``mean``.
    """
    labelled = [image.points for image in images if image.points is not None]
    counts = [len(points) for points in labelled]
    sizes = np.array([image.size for image in images])
    distances = np.concatenate([image.distances for image in images])
    return dict(
        images=len(images),
        unlabelled=len(images) - len(labelled),
        with_nobody=counts.count(0),
        points=sum(counts),
        count=_spread(counts, mean=True),
        shorter_side=_spread(sizes.min(axis=1)),
        longer_side=_spread(sizes.max(axis=1)),
        nearest_neighbour=float(np.median(distances)) if len(distances) else None,
        same_place=sum(len(points) - len(np.unique(points, axis=0)) for points in labelled),
        outside=num_outside,
    )


def _spread(values, mean: bool = False) -> dict | None:
    if len(values) == 0:
        return None
    found = dict(min=int(np.min(values)), median=float(np.median(values)))
    if mean:
        found['mean'] = float(np.mean(values))
    return found | dict(max=int(np.max(values)))


def group(
    splits: Mapping[str, list[ImageFacts]], classes: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, dict]]:
    """Images and points by the class of the count and by each attribute.

    Attributes are those that are text or whole numbers; of more than ``MAX_VALUES`` values the
    rarest are one.

    Args:
        splits: Facts of the images of each split.
        classes: Lowest and highest count of each class, by its name.

    Returns:
        Attribute to value to split to ``dict(images, points)``.
    """
    labels: dict[str, Callable[[ImageFacts], Any]] = {
        'people in an image': lambda image: count_class(image.points, classes)
    }
    every = [image for images in splits.values() for image in images]
    for name in dict.fromkeys(key for image in every for key in image.attributes):
        labels[name] = partial(_attribute, name)
    order = list(classes)
    grouped = {name: _group_by(splits, label, order) for name, label in labels.items()}
    return {name: rows for name, rows in grouped.items() if rows}


def _attribute(name: str, image: ImageFacts) -> Any:
    return image.attributes.get(name)


def _group_by(
    splits: Mapping[str, list[ImageFacts]], label: Callable, order: list[str]
) -> dict[str, dict]:
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
    elif set(kept) <= set(order):
        kept.sort(key=lambda value: order.index(str(value)))
    rows = {str(value): {value} for value in kept}
    if rest:
        rows[f'{len(rest)} others'] = set(rest)
    return {
        row: {split: _tally(pairs, values) for split, pairs in labelled.items()}
        for row, values in rows.items()
    }


def _tally(pairs: list[tuple], values: set) -> dict[str, int]:
    found = [image.points for value, image in pairs if value in values]
    return dict(images=len(found), points=sum(len(p) for p in found if p is not None))


def count_class(
    points: np.ndarray | None, classes: Mapping[str, tuple[float, float]]
) -> str | None:
    """Name of the class of the count; None where the annotation is not published."""
    if points is None:
        return None
    return next(name for name, (low, high) in classes.items() if low <= len(points) <= high)


def statistics_table(stats: dict) -> str:
    """The numbers as Markdown.

    Args:
        stats: ``title``, ``splits`` (what :func:`summarize` returns of each) and ``groups`` (what
            :func:`group` returns).
    """
    splits = stats['splits']
    rows = [[words, *(_shown(splits[s][key]) for s in splits)] for key, words in ROWS.items()]
    blocks = [f'# {stats["title"]}', markdown_table(['', *splits], rows, numbers=True)]
    for name, values in stats['groups'].items():
        rows = [
            [value, *(f'{n["images"]:,} / {n["points"]:,}' for n in of_split.values())]
            for value, of_split in values.items()
        ]
        blocks.append(markdown_table([f'{name}: images / points', *splits], rows, numbers=True))
    return '\n\n'.join(blocks)


def _shown(value: float | Mapping | None) -> str:
    if value is None:
        return '–'
    if isinstance(value, Mapping):
        return ' / '.join(map(_shown, value.values()))
    return f'{value:,.0f}' if float(value).is_integer() else f'{value:,.1f}'


def _each(function: Callable, tasks: list, workers: int, what: str) -> list:
    """Results of a function for all tasks, computed in threads under a progress bar."""
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(function, tasks)
        return list(track(results, what, len(tasks), console=Console(stderr=True)))
