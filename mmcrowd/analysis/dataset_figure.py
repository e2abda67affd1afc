"""How many people the images of a dataset hold, how near they are to each other, on what sizes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmcrowd.evaluation.functional.counting import COUNT_CLASSES, class_members, class_name
from mmcrowd.visualization.palette import SERIES

_LEAST_DISTANCE = 0.5  # shorter ones but 0 are drawn here, in pixels

# The scene levels of NWPU-Crowd: lowest and highest count by name.
CLASSES = {
    class_name(low, high, ','): (low, np.inf if high is None else high)
    for low, high in COUNT_CLASSES['nwpu'].values()
}


def draw_dataset(
    counts: Mapping[str, np.ndarray],
    sizes: Mapping[str, np.ndarray],
    distances: Mapping[str, np.ndarray],
    title: str,
) -> np.ndarray:
    """Draw counts, image sizes, classes of the count and distances of neighbours, by split.

    Shares are of the images or points of each split, so that small splits compare with large ones.

    Args:
        counts: For each split ``(n,)``, the number of people in each image that has an annotation.
        sizes: For each split ``(n, 2)``, height and width of each image in pixels.
        distances: For each split ``(m,)``, the distance from each point to its nearest neighbour
            in pixels.
        title: Written above all.

    Returns:
        The picture, RGB uint8 ``(H, W, 3)``.
    """
    canvas = FigureCanvasAgg(dataset_figure(counts, sizes, distances, title))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def dataset_figure(
    counts: Mapping[str, np.ndarray],
    sizes: Mapping[str, np.ndarray],
    distances: Mapping[str, np.ndarray],
    title: str,
) -> Figure:
    """The figure that :func:`draw_dataset` draws, with the same arguments.

    Its panels are, by rows: counts, image sizes, classes of the count, distances of neighbours.
    """
    colors = {name: SERIES[i % len(SERIES)] for i, name in enumerate(sizes)}
    figure = Figure(figsize=(12, 8.4), dpi=120, layout='constrained')
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2)
    _draw_counts(top_left, counts, colors)
    _draw_sizes(top_right, sizes, colors)
    _draw_classes(bottom_left, counts, colors)
    _draw_distances(bottom_right, distances, colors)
    for axes in figure.axes:
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[['top', 'right']].set_visible(False)
    figure.set_layout_engine('constrained', h_pad=0.12, w_pad=0.12)
    figure.suptitle(title, fontsize=14, fontweight='bold')
    handles = [
        Line2D([], [], color=color, marker='s', markersize=9, linewidth=0)
        for color in colors.values()
    ]
    labels = [_label(name, sizes[name], counts[name]) for name in colors]
    figure.legend(handles, labels, loc='outside lower center', ncols=3, frameon=False)
    return figure


def _label(name: str, sizes: np.ndarray, counts: np.ndarray) -> str:
    unlabelled = len(sizes) - len(counts)
    note = f', {unlabelled:,} without annotation' if unlabelled else ''
    return f'{name}: {len(sizes):,} images, {counts.sum():,} points{note}'


def _draw_counts(axes: Axes, counts: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    every = np.concatenate([*counts.values(), [1]])
    # Edges between whole numbers: the bins of the smallest counts are one number wide.
    low = min((found[found > 0].min() for found in counts.values() if found.any()), default=1)
    edges = np.unique(np.rint(np.geomspace(low, every.max() + 1, 21))) - 0.5
    _draw_histogram(axes, counts, edges, colors)
    axes.set(title='Counts', xlabel='people in an image', ylabel='% of the images')


def _draw_distances(
    axes: Axes, distances: Mapping[str, np.ndarray], colors: Mapping[str, str]
) -> None:
    every = np.concatenate([*distances.values(), [10 * _LEAST_DISTANCE]])
    low = max(every[every > 0].min(), _LEAST_DISTANCE)
    edges = np.geomspace(low, every.max() * 1.001, 51)
    raised = {
        name: np.where(found > 0, np.maximum(found, low), 0) for name, found in distances.items()
    }
    _draw_histogram(axes, raised, edges, colors)
    axes.set(
        title='Nearest neighbours',
        xlabel='pixels from a point to the nearest other one',
        ylabel='% of the points',
    )


def _draw_histogram(
    axes: Axes, values: Mapping[str, np.ndarray], edges: np.ndarray, colors: Mapping[str, str]
) -> None:
    """Shares of each split in percent on a logarithmic axis, and its median as a dashed line.

    A bin left of the others is for zeros, if there are any.
    """
    ticks = [k * 10.0**e for e in range(8) for k in (1, 2, 5) if edges[0] <= k * 10**e <= edges[-1]]
    labels, zero = [f'{tick:,.0f}' for tick in ticks], 0.0
    if any((found == 0).any() for found in values.values()):
        width = max(edges[-1] / edges[0], 10) ** 0.04
        edges = np.concatenate([[edges[0] / width], edges])
        zero = float(np.sqrt(edges[0] * edges[1]))
        ticks, labels = [zero, *ticks], ['0', *labels]
    for name, color in colors.items():
        found = values[name]
        if len(found) == 0:
            continue
        share = 100 * np.histogram(np.where(found > 0, found, zero), edges)[0] / len(found)
        axes.stairs(share, edges, fill=True, color=color, alpha=0.15)
        axes.stairs(share, edges, color=color, linewidth=1.6)
        axes.axvline(max(np.median(found), zero), color=color, linestyle='--', linewidth=1.2)
    axes.set_xscale('log')
    axes.minorticks_off()
    axes.set_xticks(ticks, labels)
    axes.set_ylim(bottom=0)
    axes.plot([], [], color='0.4', linestyle='--', linewidth=1.2, label='median')
    axes.legend(frameon=False)


def _draw_sizes(axes: Axes, sizes: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    total = max(map(len, sizes.values()))
    circles = []
    for name, color in colors.items():
        size, number = np.unique(sizes[name], axis=0, return_counts=True)
        circles += [(n, w, h, color) for (h, w), n in zip(size, number, strict=True)]
    # Small circles over large ones, so that all are seen.
    for number, width, height, color in sorted(circles, reverse=True):
        axes.scatter(width, height, 12 + 700 * number / total, color, alpha=0.3, edgecolors=color)
    axes.set(
        title='Image sizes (area of a circle: images of this size)',
        xlabel='width, pixels',
        ylabel='height, pixels',
    )
    height, width = np.concatenate(list(sizes.values())).max(axis=0)
    axes.set(xlim=(0, 1.1 * width), ylim=(0, 1.15 * height))


def _draw_classes(axes: Axes, counts: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    width = 0.84 / len(colors)
    for i, (name, color) in enumerate(colors.items()):
        found = counts[name]
        if len(found) == 0:
            continue
        members = [class_members(found, *ends) for ends in CLASSES.values()]
        images = np.array([100 * each.mean() for each in members])
        points = np.array([100 * found[each].sum() for each in members]) / max(found.sum(), 1)
        place = np.arange(len(CLASSES)) + (i - (len(colors) - 1) / 2) * width
        axes.bar(place, images, 0.94 * width, color=color, alpha=0.25)
        axes.bar(place, points, 0.5 * width, color=color)
    axes.set_xticks(range(len(CLASSES)), list(CLASSES))
    axes.set(
        title='Images (pale) and points (narrow) by count',
        xlabel='people in an image',
        ylabel='% of the images or points',
    )
