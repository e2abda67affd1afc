"""What the Proximal Mapping Loss sees in an image, as figures 2, 5, 6 and 8 of its paper draw it
(Lin, Wan and Chan, ICLR 2025)."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from mmcrowd.analysis.pml_targets import (
    delta_target,
    kl_target,
    l2_target,
    projected_gaussian_target,
)
from mmcrowd.models.losses.gaussian_l2_loss import gaussian_target
from mmcrowd.models.losses.generalized_loss import (
    GeneralizedLoss,
    transport_potentials,
    unit_points,
)
from mmcrowd.models.losses.pml_costs import COSTS, bayesian_background, centered_background
from mmcrowd.models.losses.point_cases import PointCases
from mmcrowd.models.losses.tiled_sinkhorn import log_plan_factors
from mmcrowd.ops.grid import cell_centres
from mmcrowd.ops.partition import Partition, partition_batch

MASSES = (('under-estimated', 0.3), ('well estimated', 1.0), ('over-estimated', 2.0))


def crop_around(
    image: np.ndarray, points: np.ndarray, side: int, index: int | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Cut a square out of an image, around one of its points and inside the image.

    Args:
        image: ``(H, W, 3)``.
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the image.
        side: Side of the square in pixels; a smaller image is not cut.
        index: The point. Defaults to None: the most central one.

    Returns:
        The crop, the positions of the points in it, in its pixels, and the index of the point among
        them.

    Raises:
        ValueError: No points, none of this index, or the side is no positive number.
    """
    _check_points(points)
    size = np.array(image.shape[1::-1])
    if index is None:
        index = int(np.abs(points - size / 2).sum(1).argmin())
    _check_index(points, index)
    if side < 1:
        raise ValueError(f'side of the crop must be positive, but got {side}')
    free = np.maximum(size - side, 0)
    x0, y0 = np.clip(np.round(points[index] - side / 2), 0, free).astype(int)
    image = image[y0 : y0 + side, x0 : x0 + side]
    height, width = image.shape[:2]
    moved = points - np.array([x0, y0], points.dtype)
    inside = ((moved >= -0.5) & (moved < (width - 0.5, height - 0.5))).all(1)
    return image, moved[inside], int(inside[:index].sum())


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
    cells = _colours(len(points))[index[0].numpy()]
    figure, (axes,) = _figure(image, ['partition'])
    axes.imshow(cells, alpha=0.5, interpolation='nearest', **_extent(cells.shape, stride))
    _draw_points(axes, points)
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
        _draw_points(axes, points)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
        bar.ax.set_ylim(min(weight.min(), 0), weight.max())
    return render(figure)


def draw_transport(
    image: np.ndarray, points: np.ndarray, stride: int = 2, sigma: float = 8.0
) -> np.ndarray:
    """Draw where GL's transport takes the mass of each cell, beside its nearest point (fig. 8).

    A cell has the colour of its point or, under GL, the mean colour of all points, weighted by
    their shares in its row of the transport plan. The plan is that of
    :class:`~mmcrowd.models.losses.GeneralizedLoss` with its default options; the density that is
    transported has a Gaussian for each point. The last panel shows which share of the mass of a
    cell goes elsewhere than to the nearest point, and says which share of all mass does.

    Memory grows with cells times points: take a crop, as in training.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the image, m > 0.
        stride: Pixels per cell. Defaults to 2.
        sigma: Of the Gaussians, in pixels. Defaults to 8.0.

    Returns:
        The picture, RGB uint8.

    Raises:
        ValueError: No points.
    """
    index, _ = _partition(image, points, stride)
    nearest = index[0]
    density = gaussian_target(torch.as_tensor(points).double(), nearest.shape, stride, sigma)
    plan = transport_plan(density, torch.as_tensor(points).double(), stride)
    shares = plan / plan.sum(1, keepdim=True)
    elsewhere = 1 - shares.gather(1, nearest.view(-1, 1)).view(nearest.shape)
    total = float((elsewhere * plan.sum(1).view(nearest.shape)).sum() / plan.sum())

    colours = _colours(len(points))
    mixed = (shares.numpy() @ colours).reshape(*nearest.shape, 3)
    panels = {
        'density': density.numpy(),
        'nearest point': colours[nearest.numpy()],
        "GL's transport plan": mixed,
        f'not to the nearest: {total:.1%} of the mass': elsewhere.numpy(),
    }
    figure, every = _figure(image, panels)
    for axes, panel in zip(every, panels.values(), strict=True):
        drawn = axes.imshow(
            panel,
            cmap='magma',
            vmin=0,
            vmax=None if panel is panels['density'] else 1,
            alpha=0.6,
            interpolation='nearest',
            **_extent(nearest.shape, stride),
        )
        _draw_points(axes, points)
        if panel.ndim == 2:
            figure.colorbar(drawn, ax=axes, shrink=0.8)
    return render(figure)


def transport_plan(density: torch.Tensor, points: torch.Tensor, stride: int) -> torch.Tensor:
    """The plan of :func:`~mmcrowd.models.losses.generalized_loss.generalized_loss` with the default
    options of its class.

    Args:
        density: ``(h, w)`` persons per cell, positive.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels, m > 0.
        stride: Input pixels per cell.

    Returns:
        ``(h * w, m)`` mass that goes from each cell to each point.
    """
    loss, mass = GeneralizedLoss(), density.flatten()
    points = unit_points(points, tuple(density.shape), stride)
    costs, f, g = transport_potentials(
        density, points, loss.cost, loss.blur, loss.scaling, loss.reach
    )
    plan = mass.new_zeros(len(mass) + 1, len(points))
    for cell, point, log_factor in log_plan_factors(costs, mass.log(), f, g, loss.blur):
        plan[cell[:, :, None], point[:, None]] = log_factor.exp_()
    return mass[:, None] * plan[:-1]


def draw_targets(
    image: np.ndarray,
    points: np.ndarray,
    index: int = 0,
    stride: int = 2,
    cost: str = 'clamped',
    tau: float = 32.0,
    kl_tau: float = 0.25,
    delta_tau: float = 4.0,
    sigma: float = 4.0,
) -> np.ndarray:
    """Draw the targets p* of one point for too small, right and too large a density (fig. 6).

    The density is a blob beside the point. The rows are its three masses; the columns are the
    density and its targets under L2 (eq. 7), L2 with the Gaussian prior (eq. 9), KL (eq. 22) and
    for a single cell (eq. 15). All but the last have one scale of colours.

    Args:
        image: RGB uint8 ``(H, W, 3)``.
        points: ``(m, 2)`` positions ``(x, y)`` in pixels of the image.
        index: The point. Defaults to 0.
        stride: Pixels per cell. Defaults to 2.
        cost: See :class:`~mmcrowd.models.losses.PMLLoss`. Defaults to ``'clamped'``.
        tau: Weight of the proximal term of the L2 targets. Defaults to 32.0.
        kl_tau: That of the KL target. Defaults to 0.25.
        delta_tau: That of the target of a single cell. Defaults to 4.0.
        sigma: Of the blob, and least one of the Gaussian prior, in pixels. Defaults to 4.0.

    Returns:
        The picture, RGB uint8.

    Raises:
        ValueError: No point of this index or no cell nearest to it, or an unknown cost.
    """
    partition = _partition(image, points, stride)
    _check_index(points, index)
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
    rows_of_targets = [
        (
            a,
            l2_target(a, c, tau),
            projected_gaussian_target(a, c, tau, cells, sigma),
            kl_target(a, c, kl_tau),
            delta_target(a, c, delta_tau),
        )
        for a in (mass * blob for _, mass in MASSES)
    ]
    top = max(float(p.abs().max()) for line in rows_of_targets for p in line[:-1])
    titles = (
        'density $a$',
        rf'L2 (7), $\tau={tau:g}$',
        rf'Gaussian (9), $\tau={tau:g}$',
        rf'KL (22), $\tau={kl_tau:g}$',
        rf'one cell (15), $\tau={delta_tau:g}$',
    )
    figure = Figure(figsize=(2.3 * len(titles), 2.3 * len(MASSES)), layout='constrained')
    grid = figure.subplots(len(MASSES), len(titles), squeeze=False)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for line, targets, (name, mass) in zip(grid, rows_of_targets, MASSES, strict=True):
        for axes, p in zip(line, targets, strict=True):
            canvas = np.full(mine.shape, np.nan)
            canvas[mine.numpy()] = p
            norm = TwoSlopeNorm(0, -top, top) if axes is not line[-1] else TwoSlopeNorm(0, -1, 1)
            axes.imshow(canvas[window], cmap='RdBu_r', norm=norm, extent=extent)
            axes.plot(*point, 'k+', markersize=7)
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f'{float(p.min()):.3f} to {float(p.max()):.3f}', fontsize=8)
        line[0].set_ylabel(f'{name}\n$a^T 1 = {mass}$')
    return render(figure)


def render(figure: Figure) -> np.ndarray:
    """Draw a figure into a picture, RGB uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _check_points(points: np.ndarray) -> None:
    if len(points) == 0:
        raise ValueError('the figures of the loss need an image with points, but got 0 points')


def _check_index(points: np.ndarray, index: int) -> None:
    if not 0 <= index < len(points):
        raise ValueError(f'index must be one of {len(points)} points, but got {index}')


def _partition(image: np.ndarray, points: np.ndarray, stride: int) -> Partition:
    _check_points(points)
    size = [-(-side // stride) for side in image.shape[:2]]
    return partition_batch([torch.as_tensor(points, dtype=torch.float64)], size, stride)


def _cost(cases: PointCases, cost: str) -> torch.Tensor:
    """Cost of each cell, by its name."""
    if cost not in COSTS:
        raise ValueError(f'cost must be one of {tuple(COSTS)}, but got {cost!r}')
    return COSTS[cost](cases)


def _colours(number: int) -> np.ndarray:
    """An RGB colour ``(number, 3)`` for each point, in a random order: neighbours differ."""
    order = np.random.default_rng(0).permutation(number) % 20
    return colormaps['tab20'](order)[:, :3]


def _draw_points(axes: Axes, points: np.ndarray) -> None:
    axes.plot(*np.asarray(points).T, 'w.', markersize=4, markeredgecolor='k', markeredgewidth=0.4)


def _extent(size: Sequence[int], stride: int) -> dict:
    """Lays a map of ``size = (h, w)`` cells over the image; the axes cut off what lies beyond."""
    height, width = (number * stride for number in size[:2])
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
