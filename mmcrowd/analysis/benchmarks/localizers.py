"""The localizers on synthetic crowds, and OTMinimization beside its formula on dense matrices."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from mmcrowd.models.localizers.dense_transport import dense_transport
from mmcrowd.models.localizers.local_maximum import LocalMaximum
from mmcrowd.models.localizers.ot_minimization import (
    OTMinimization,
    draw_starts,
    minimize_transport,
    number_of_points,
)
from mmcrowd.ops.box_kinds import BOX_SIZES, box_kinds
from mmcrowd.ops.cells import cell_centre, cell_of, cell_position

from .memory import peak_of_torch


def make_crowd(people: int, size: int, stride: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """A crowd of clusters and of people who stand alone.

    Args:
        people: How many.
        size: Side of the map in cells.
        stride: Input pixels per cell.
        seed: Of what is drawn.

    Returns:
        Heads ``(people, 2)`` in input pixels, and their density ``(size, size)`` float32, persons
        per cell, of blurred heads; a tenth of it is a wide smear.
    """
    rng = np.random.default_rng(seed)
    side = size * stride
    sigma = rng.uniform(2, 5)
    clusters = rng.random((people // 50 + 1, 2)) * side
    clustered = clusters[rng.integers(len(clusters), size=people)]
    clustered += rng.normal(scale=side / rng.uniform(6, 16), size=clustered.shape)
    alone = rng.random((people, 2)) * side
    heads = np.where(rng.random((people, 1)) < 0.5, clustered, alone).clip(0, side - 1)
    column, row = np.rint(cell_position(heads, stride)).astype(int).clip(0, size - 1).T
    counts = np.zeros((size, size))
    np.add.at(counts, (row, column), 1)
    density = 0.9 * gaussian_filter(counts, sigma / stride)
    density += 0.1 * gaussian_filter(counts, 40 / stride)
    return heads, torch.from_numpy(density).float()


def make_outputs(heads: np.ndarray, density: Tensor, stride: int) -> dict[str, Any]:
    """What networks of all kinds would give for a crowd, so that each localizer finds its own.

    Args:
        heads: ``(m, 2)`` in input pixels.
        density: Their density ``(h, w)``, see :func:`make_crowd`.
        stride: Input pixels per cell; 4 is a multiple of it.

    Returns:
        ``density``; ``densities``, the same on cells of 1, 2, 4 and 8 times the side; ``points``
        ``(R, 2)``, a proposal every 4 pixels, and ``logits`` ``(R, 2)``, of which those with a head
        in their 4 x 4 pixels are accepted; ``boxes`` ``(16, h, w)``, probabilities of the boxes of
        four scales with one in each of the 3 x 3 cells about a head; ``map`` ``(h, w)``, the
        probability of any of them; ``img_shape``.
    """
    height, width = density.shape
    kinds = torch.from_numpy(box_kinds(heads, (height, width), stride)).float()
    spread = F.max_pool2d(kinds[None], 3, 1, 1)[0].long()
    scales, boxes = 4, len(BOX_SIZES) // 4
    probability = torch.zeros(scales, boxes + 1, height, width)
    probability[:, boxes] = 1
    rows, columns = spread.nonzero(as_tuple=True)
    kind = spread[rows, columns] - 1
    score = torch.where(kinds[rows, columns] > 0, 0.9, 0.6)
    probability[kind // boxes, kind % boxes, rows, columns] = score
    probability[kind // boxes, boxes, rows, columns] = 1 - score

    shape = height * stride // 4, width * stride // 4
    y, x = torch.meshgrid(*(cell_centre(torch.arange(n), 4) for n in shape), indexing='ij')
    person = torch.zeros(shape)
    column, row = cell_of(torch.from_numpy(heads), 4).long().T
    person[row.clamp(0, shape[0] - 1), column.clamp(0, shape[1] - 1)] = 1
    logit = 4 * person.flatten() - 2
    return dict(
        density=density,
        densities=[k * k * F.avg_pool2d(density[None], k)[0] for k in (1, 2, 4, 8)],
        points=torch.stack([x.flatten(), y.flatten()], dim=1),
        logits=torch.stack([torch.zeros_like(logit), logit], dim=1),
        boxes=probability.flatten(0, 1),
        map=probability[:, :boxes].amax((0, 1)),
        img_shape=(height * stride, width * stride),
    )


def make_calls(stride: int, dense: bool = True) -> dict[str, Callable[[Tensor, int], Tensor]]:
    """Functions of a density ``(h, w)`` and of iterations that give ``(k, 2)`` points.

    Args:
        stride: Input pixels per cell.
        dense: Whether OTMinimization by its dense formula is one of them. Defaults to True.
    """
    calls: dict[str, Callable[[Tensor, int], Tensor]] = {'OTM': partial(_sparse, stride)}
    if dense:
        calls['OTM dense'] = partial(_dense, stride)
    for mode in ('absolute', 'relative', 'adaptive'):
        calls[f'LM {mode}'] = partial(_maxima, stride, mode=mode)
    return calls


def peak_memory(call: Callable[[], object]) -> float:
    """Largest memory in MiB that numpy or torch allocates at one time during a call."""
    tracemalloc.start()
    of_torch = peak_of_torch(call)
    of_numpy = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return max(of_numpy / 2**20, of_torch)


def _sparse(stride: int, density: Tensor, iterations: int) -> Tensor:
    return OTMinimization(max_iterations=iterations)(density, stride)[0]


def _dense(stride: int, density: Tensor, iterations: int) -> Tensor:
    mass = density.double()
    people = number_of_points(mass.numpy())
    mass *= people / mass.sum()
    starts = draw_starts(mass.numpy(), people, stride, np.random.default_rng(0))
    held = mass.float().numpy()
    points, _ = minimize_transport(
        lambda points: dense_transport(held, points, stride),
        starts.astype(np.float32),
        stride,
        iterations,
    )
    return torch.from_numpy(points)


def _maxima(stride: int, density: Tensor, iterations: int, **settings: Any) -> Tensor:
    return LocalMaximum(**settings)(density, stride)[0]
