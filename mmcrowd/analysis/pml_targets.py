r"""The explicit targets :math:`p^*` that the Proximal Mapping Loss pulls a density to (Lin, Wan and
Chan, ICLR 2025).

Each function looks at one point-neighbour case: the density ``a`` of its cells and the cost ``c``
of moving mass from each cell to the point, both ``(n,)``. It returns the proximal mapping, the mass
``(n,)`` that minimises :math:`c^\top p + \tau D(p, a)` among those with the sum 1, for its own
choice of D. Training needs none of them: the loss, :class:`~mmcrowd.models.losses.PMLLoss`, has the
targets inside. They are here to be looked at, and for the tests.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def l2_target(a: Tensor, c: Tensor, tau: float) -> Tensor:
    r"""Proximal mapping under :math:`D = \frac12 \| p - a \|^2` (eq. 7).

    :math:`p^* = a - c / \tau + \eta`, where :math:`\eta` makes the sum 1. It may be negative.

    Args:
        a: ``(n,)`` density of the cells.
        c: ``(n,)`` cost of the cells.
        tau: Weight of D, positive.

    Returns:
        ``(n,)`` target, of sum 1.
    """
    p = a - c / tau
    return p + (1 - p.sum()) / len(p)


def kl_target(a: Tensor, c: Tensor, tau: float) -> Tensor:
    r"""Proximal mapping under the Kullback-Leibler divergence of p from a (eq. 22).

    :math:`p^*_i = a_i e^{-c_i / \tau} / \eta`.

    Args:
        a: ``(n,)`` density of the cells, not negative and not all zero.
        c: ``(n,)`` cost of the cells.
        tau: Weight of the divergence, positive; infinity gives ``a / a.sum()``.

    Returns:
        ``(n,)`` target, of sum 1.
    """
    return torch.softmax(a.log() - c / tau, 0)


def projected_gaussian_target(
    a: Tensor, c: Tensor, tau: float, cells: Tensor, sigma: float
) -> Tensor:
    r"""The target under the prior that it is Gaussian (eq. 9).

    The Gaussian has the mean :math:`\mu = x^\top p^*` and the covariance of :math:`p^*`, whose
    principal variances are at least :math:`\sigma^2`; on the cells of the case its sum is 1. So
    that :math:`p^*` has moments it is here the mapping of eq. 7 with the constraint
    :math:`p \ge 0`, a projection to the simplex.

    Args:
        a: ``(n,)`` density of the cells.
        c: ``(n,)`` cost of the cells.
        tau: Weight of D, positive. Towards 0 the target becomes a Gaussian of width sigma
            around the cell of the least cost: the blurred dot of the classic L2 loss.
        cells: ``(n, 2)`` centres ``(x, y)`` of the cells in input pixels.
        sigma: Least standard deviation in input pixels.

    Returns:
        ``(n,)`` target, of sum 1.
    """
    p = _project_to_simplex(a - c / tau)
    mean = p @ cells
    off = cells - mean
    variance, axes = torch.linalg.eigh((p[:, None] * off).T @ off)
    off = off @ axes / variance.clamp(min=sigma**2).sqrt()
    return torch.softmax(-off.square().sum(1) / 2, 0)


def _project_to_simplex(v: Tensor) -> Tensor:
    """The nearest vector of non-negative numbers with the sum 1."""
    ranked = v.sort(descending=True).values
    excess = (ranked.cumsum(0) - 1) / torch.arange(1, len(v) + 1).to(v)
    return (v - excess[(ranked > excess).sum() - 1]).clamp(min=0)


def delta_target(a: Tensor, c: Tensor, tau: float) -> Tensor:
    r"""Proximal mapping under :math:`D = \| p - a \|_1` among single cells (eq. 15-17).

    All mass on :math:`\arg\min_i c_i - 2 \tau a_i`: how P2PNet chooses a proposal.

    Args:
        a: ``(n,)`` probability of each cell, in [0, 1].
        c: ``(n,)`` cost of the cells.
        tau: Weight of D.

    Returns:
        ``(n,)`` target: 1 in one cell (the first of the best), 0 in the others.
    """
    return _one_hot(c - 2 * tau * a)


def logit_delta_target(x: Tensor, c: Tensor, tau: float) -> Tensor:
    r"""Proximal mapping under the binary cross-entropy among single cells (eq. 30).

    All mass on :math:`\arg\min_i c_i - \tau x_i`: how P2PNet\ :sup:`†` chooses a proposal.

    Args:
        x: ``(n,)`` logit of each cell.
        c: ``(n,)`` cost of the cells.
        tau: Weight of the cross-entropy.

    Returns:
        ``(n,)`` target: 1 in one cell (the first of the best), 0 in the others.
    """
    return _one_hot(c - tau * x)


def _one_hot(score: Tensor) -> Tensor:
    return F.one_hot(score.argmin(), len(score)).to(score)
