"""The transport of :class:`OTMinimization` as its formulas read: dense (cells x points) matrices.

The reference that the fast form in :mod:`.multiscale_transport` is measured against. Memory and
time grow with cells times points: minutes for a thousand people.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mmcrowd.ops.cells import cell_centre

SCALE = 32.0  # the cost is the squared distance over twice this
FIRST_EPSILON = 8.0  # annealing starts there, or at the largest cost if that is larger
DECAY = 0.75
LAST_EPSILON = 0.01


def dense_transport(
    mass: np.ndarray, points: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the barycentres of the annealed plan of :class:`OTMinimization`.

    Args:
        mass: ``(h, w)`` mass of each cell, not negative, with the sum N.
        points: ``(N, 2)`` positions ``(x, y)`` in input pixels, of the same floating type, in which
            the work is done.
        stride: Input pixels per cell.

    Returns:
        ``(N, 2)`` barycentres, and the ``(N,)`` mean squared distance in pixels of each from its
        mass.

    Examples:
        >>> mass = np.array([[1.0, 0.0, 0.5, 0.5]])
        >>> barycentres, spread = dense_transport(mass, np.array([[0.0, 0.0], [5.0, 0.0]]), 2)
        >>> barycentres.round(2)
        array([[0.5, 0.5],
               [5.5, 0.5]])
        >>> spread.round(2)
        array([0., 1.])
    """
    y, x = np.meshgrid(*(cell_centre(np.arange(n), stride) for n in mass.shape), indexing='ij')
    cells = torch.from_numpy(np.stack((x.ravel(), y.ravel()), 1).astype(mass.dtype))
    plan = annealed_plan(cells, torch.from_numpy(mass).flatten(), torch.from_numpy(points))
    barycentres = plan.T @ cells / plan.sum(0)[:, None]
    squared = torch.cdist(cells, barycentres).square()
    return barycentres.numpy(), ((plan * squared).sum(0) / plan.sum(0)).numpy()


def annealed_plan(cells: Tensor, mass: Tensor, points: Tensor) -> Tensor:
    r"""Plan :math:`P_{in} = a_i \exp\frac{f_i + g_n - C_{in}}{\epsilon}` after one Sinkhorn step at
    each epsilon of the annealing.

    Args:
        cells: ``(M, 2)`` places :math:`x_i` in input pixels.
        mass: ``(M,)`` mass :math:`a_i` of the cells.
        points: ``(N, 2)`` positions :math:`y_n` in input pixels.

    Returns:
        ``(M, N)``; the mass of each point is 1.
    """
    cost = (cells[:, None] - points).square().sum(-1) / (2 * SCALE)
    g = torch.zeros_like(points[:, 0])
    for epsilon in annealing(float(cost.max())):
        f, g = sinkhorn_step(cost, mass, g, epsilon)
    return mass[:, None] * torch.exp((f[:, None] + g - cost) / epsilon)


def annealing(largest_cost: float) -> Iterator[float]:
    """Regularisations of the Sinkhorn steps, from the largest to the last, which is 0.01."""
    epsilon = max(FIRST_EPSILON, largest_cost)
    while epsilon > LAST_EPSILON:
        yield epsilon
        epsilon *= DECAY
    yield LAST_EPSILON


def sinkhorn_step(cost: Tensor, mass: Tensor, g: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    r"""New potentials of cells and points.

    .. math::
        f_i = -\epsilon \log \sum_n \exp \frac{g_n - C_{in}}{\epsilon}, \qquad
        g_n = -\epsilon \log \sum_i a_i \exp \frac{f_i - C_{in}}{\epsilon}

    Args:
        cost: ``(M, N)`` :math:`C`.
        mass: ``(M,)`` :math:`a`.
        g: ``(N,)`` potentials of the points.
        epsilon: :math:`\epsilon`.

    Returns:
        ``(M,)`` and ``(N,)``.
    """
    f = -epsilon * torch.logsumexp((g - cost) / epsilon, 1)
    g = -epsilon * torch.logsumexp((f[:, None] - cost) / epsilon + mass.log()[:, None], 0)
    return f, g
