"""What the Proximal Mapping Loss sees in an image, as figures 2, 5 and 6 of its paper draw it (Lin,
Wan and Chan, ICLR 2025)."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from mmcrowd.analysis.pml_targets import (
    delta_target,
    kl_target,
    l2_target,
    projected_gaussian_target,
)
from mmcrowd.models.losses.pml_costs import COSTS, bayesian_background, centered_background
from mmcrowd.models.losses.point_cases import PointCases
from mmcrowd.ops.grid import cell_centres
from mmcrowd.ops.partition import Partition, partition_batch

MASSES = (('under-estimated', 0.3), ('well estimated', 1.0), ('over-estimated', 2.0))


def draw_partition(image: np.ndarray, points: np.ndarray, stride: int = 2) -> np.ndarray:
    """Draw the divide stage (fig. 2): which cells go to which point.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the image, m > 0.
        stride: Pixels per cell. Defaults to 2.

    Returns:
        The picture, RGB uint8.

    Raises:
        ValueError: No points.
    """
    index, _ = _partition(image, points, stride)
    # Numbers in a random order, so that neighbours differ in colour.
    shuffled = np.random.default_rng(0).permutation(len(points))[index[0].numpy()] % 20
    figure, (axes,) = _figure(image, ['partition'])
    axes.imshow(
        shuffled,
        cmap='tab20',
        vmin=0,
        vmax=19,
        alpha=0.5,
        interpolation='nearest',
        **_extent(shuffled.shape, stride),
    )
    axes.plot(*np.asarray(points).T, 'w.', markersize=4, markeredgecolor='k', markeredgewidth=0.4)
    return render(figure)


def draw_backgrounds(
    image: np.ndarray, points: np.ndarray, stride: int = 2, cost: str = 'clamped'
) -> np.ndarray:
    """Draw the weight that three losses give to the mass of each cell (fig. 5, Table 7).

    Bayesian Loss has the posterior of the background (eq. 12), GL the cost of the way to the
    nearest point (where its transport ends without entropy, appendix G) and PML the cost minus its
    mean over the point-neighbour case: alone it rewards mass near the point.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the image, m > 0.
        stride: Pixels per cell. Defaults to 2.
        cost: Cost of GL and PML, see :class:`~mmcrowd.models.losses.PMLLoss`.
            Defaults to ``'clamped'``.

    Returns:
        The picture, RGB uint8.

    Raises:
        ValueError: No points, or an unknown cost.
    """
    partition = _partition(image, points, stride)
    size = tuple(partition.index.shape[1:])
    cases = PointCases([torch.as_tensor(points)], partition)
    c = _cost(cases, cost)
    weights = {
        'BL: $q$': bayesian_background(cases, sigma=8.0),
        'GL: $c$': c,
        r'PML: $c - \bar{c}$': centered_background(cases, c),
    }
    size = tuple(partition.index.shape[1:])
    figure, every = _figure(image, weights)
    for axes, weight in zip(every, weights.values(), strict=True):
        weight = weight.view(size).numpy()
        span = max(np.abs(weight).max(), 1e-12)
        drawn = axes.imshow(
            weight,
            cmap='coolwarm',
            norm=TwoSlopeNorm(0, -span, span),
            alpha=0.7,
            interpolation='nearest',
            **_extent(size, stride),
        )
        axes.plot(*np.asarray(points).T, 'k.', markersize=2)
        figure.colorbar(drawn, ax=axes, shrink=0.8)
    return render(figure)


def draw_targets(
    image: np.ndarray,
    points: np.ndarray,
    index: int = 0,
    stride: int = 2,
    cost: str = 'clamped',
    tau: float = 4.0,
    sigma: float = 4.0,
) -> np.ndarray:
    """Draw the targets p* of one point for too small, right and too large a density (fig. 6).

    The density is a blob beside the point. The rows are its three masses; the columns are the
    density and its targets under L2 (eq. 7), L2 with the Gaussian prior (eq. 9), KL (eq. 22) and
    for a single cell (eq. 15).

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the image.
        index: The point. Defaults to 0.
        stride: Pixels per cell. Defaults to 2.
        cost: See :class:`~mmcrowd.models.losses.PMLLoss`. Defaults to ``'clamped'``.
        tau: Weight of the proximal term. Defaults to 4.0.
        sigma: Of the blob, and least one of the Gaussian prior, in pixels. Defaults to 4.0.

    Returns:
        The picture, RGB uint8.

    Raises:
        ValueError: No point of this index or no cell nearest to it, or an unknown cost.
    """
    partition = _partition(image, points, stride)
    if not 0 <= index < len(points):
        raise ValueError(f'index must be one of {len(points)} points, but got {index}')
    mine = partition.index[0] == index
    if not mine.any():
        raise ValueError(f'point {index} is nearest to no cell; choose another')
    c = _cost(PointCases([torch.as_tensor(points)], partition), cost).view(mine.shape)[mine]
    x, y = cell_centres(tuple(mine.shape), stride, c)
    cells = torch.stack(torch.meshgrid(y, x, indexing='ij')[::-1], -1)[mine]
    # The blob stands half way between the point and the middle of its cells, or a little aside.
    point = torch.as_tensor(points)[index].double()
    centre = (point + cells.mean(0)) / 2 + sigma / 2
    blob = torch.softmax(-(cells - centre).square().sum(1) / (2 * sigma**2), 0)

    rows, cols = mine.nonzero(as_tuple=True)
    window = np.s_[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    edges = [cells[:, 0].min(), cells[:, 0].max(), cells[:, 1].max(), cells[:, 1].min()]
    extent = [float(e) + stride / 2 * sign for e, sign in zip(edges, (-1, 1, 1, -1), strict=True)]
    titles = 'density $a$', 'L2 (7)', 'Gaussian (9)', 'KL (22)', 'one cell (15)'
    figure = Figure(figsize=(2.3 * len(titles), 2.3 * len(MASSES)), layout='constrained')
    grid = figure.subplots(len(MASSES), len(titles), squeeze=False)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    for line, (name, mass) in zip(grid, MASSES, strict=True):
        a = mass * blob
        shown = (
            a,
            l2_target(a, c, tau),
            projected_gaussian_target(a, c, tau, cells, sigma),
            kl_target(a, c, tau),
            delta_target(a, c, tau),
        )
        for axes, p in zip(line, shown, strict=True):
            canvas = np.full(mine.shape, np.nan)
            canvas[mine.numpy()] = p
            top = float(p.abs().max())
            axes.imshow(
                canvas[window], cmap='RdBu_r', norm=TwoSlopeNorm(0, -top, top), extent=extent
            )
            axes.plot(*point, 'k+', markersize=7)
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f'max {float(p.max()):.2g}', fontsize=8)
        line[0].set_ylabel(f'{name}\n$a^T 1 = {mass}$')
    return render(figure)


def render(figure: Figure) -> np.ndarray:
    """Draw a figure into a picture, RGB uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _partition(image: np.ndarray, points: np.ndarray, stride: int) -> Partition:
    if len(points) == 0:
        raise ValueError('the figures of the loss need an image with points, but got 0 points')
    size = [-(-side // stride) for side in image.shape[:2]]
    return partition_batch([torch.as_tensor(points, dtype=torch.float64)], size, stride)


def _cost(cases: PointCases, cost: str) -> torch.Tensor:
    """Cost of each cell, by its name."""
    if cost not in COSTS:
        raise ValueError(f'cost must be one of {tuple(COSTS)}, but got {cost!r}')
    return COSTS[cost](cases)


def _extent(size: Sequence[int], stride: int) -> dict:
    """Lays a map of ``size = (h, w)`` cells over the image; the axes cut off what lies beyond."""
    height, width = (number * stride for number in size)
    return dict(extent=(-0.5, width - 0.5, height - 0.5, -0.5))


def _figure(image: np.ndarray, titles) -> tuple[Figure, list]:
    """Panels of the image in grey."""
    height, width = image.shape[:2]
    figure = Figure(figsize=(5 * len(titles), 5 * height / width + 0.3), layout='constrained')
    every = figure.subplots(1, len(titles), squeeze=False)[0]
    for axes, title in zip(every, titles, strict=True):
        axes.imshow(image.mean(2), cmap='gray', vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[], title=title, xlim=(-0.5, width - 0.5))
        axes.set_ylim(height - 0.5, -0.5)
    return figure, list(every)
