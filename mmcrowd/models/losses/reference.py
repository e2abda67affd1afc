"""The Proximal Mapping Loss of one image as its formulas read (Lin, Wan and Chan, ICLR 2025).

Dense (cells x points) matrices, and nothing shared with :class:`~mmcrowd.models.losses.PMLLoss`,
which does the same in the memory of one map: this is what it is compared with.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def dense_pml(
    density: Tensor,
    points: Tensor,
    stride: int,
    cost: str = 'clamped',
    epsilon: float = 1.0,
    norm: str = 'l1',
    background: str | None = None,
    tau: float | None = None,
) -> Tensor:
    """Proximal Mapping Loss of one image, with the special images of the authors' program.

    Args:
        density: ``(h, w)`` persons per cell, float32 or float64.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        cost: As of :class:`~mmcrowd.models.losses.PMLLoss`. Defaults to ``'clamped'``.
        epsilon: As there. Defaults to 1.0.
        norm: As there. Defaults to ``'l1'``.
        background: As there, with a sigma of 8 pixels and the map as the whole image. Defaults to
            None.
        tau: As there. Defaults to None.

    Returns:
        The loss, a scalar of the dtype of the density.

    Examples:
        >>> dense_pml(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 0.0]]), stride=1)
        tensor(1.)
    """
    a = density.flatten()
    if len(points) == 0:
        return a.abs().sum() + a.sum().abs()
    if a.sum() <= 1:
        return (a.sum() - len(points)).abs()

    D = dense_distances(density, points, stride)
    P = F.one_hot(D.argmin(1), len(points)).to(a)  # (n, m)
    size = P.sum(0).clamp(min=1)  # of each case
    if background is None:
        background = 'cost' if norm == 'kl' else 'centered'
    if background in ('bayesian', 'ma2019'):
        C = dense_posterior(D, P, background, min(density.shape) * stride)
    else:
        C = dense_cost(D, P, cost)
    if background == 'centered':
        C = C - (P * C).sum(0) / size

    s = P.T @ a
    if norm == 'l1':  # eq. 24
        return a @ (P * C).sum(1) + epsilon * (s - 1).abs().sum()
    if norm == 'l2':  # eq. 13
        return a @ (P * C).sum(1) + epsilon * ((s - 1) ** 2 / (2 * size)).sum()
    if tau is None:  # eq. 23
        transport = (P * C).T @ a / s.clamp(min=0.1)
        return (transport + epsilon * (s - _log(s) - 1)).sum()
    # eq. 35: tau (s - log eta - 1) = tau log(s / eta) + tau (s - log s - 1); what a case lacks of a
    # mass of 0.1 is spread over its cells in the first part, and eta is relative to the least cost
    owned = P.sum(0) > 0
    least = torch.where(P > 0, C, torch.inf).amin(0).masked_fill(~owned, 0)
    filled = a[:, None] + (0.1 - s).clamp(min=0) / size
    eta = (P * filled * torch.exp(-(C - least).clamp(min=-700 * tau) / tau)).sum(0)
    transport = tau * (torch.log(s.clamp(min=0.1)) - torch.log(eta + ~owned)) + least
    return (torch.where(owned, transport, 0) + tau * (s - _log(s) - 1)).sum()


def dense_distances(density: Tensor, points: Tensor, stride: int) -> Tensor:
    """Distance of every cell from every point in input pixels, ``(h * w, m)``."""
    h, w = density.shape
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    cells = torch.stack((x, y), -1).view(-1, 2).to(density) * stride + (stride - 1) / 2
    return torch.cdist(cells, points.to(density), compute_mode='donot_use_mm_for_euclid_dist')


def dense_cost(D: Tensor, P: Tensor, cost: str) -> Tensor:
    """Cost ``(n, m)`` of the distances D, of which P says which belong to a case."""
    farthest = (P * D).amax(0)
    if cost == 'clamped':
        return torch.exp(D / farthest.clamp(min=32)) - 1
    if cost == 'max_normalized':  # a cell beyond its own case could overflow, and is masked by P
        return torch.exp((D - farthest).clamp(max=0))
    return D


def dense_posterior(D: Tensor, P: Tensor, background: str, side: int) -> Tensor:
    """Posterior ``(n, m)`` of the background next to each point alone, with a sigma of 8 pixels."""
    if background == 'bayesian':  # eq. 12
        N = torch.exp(-(((P * D).amax(0) - D) ** 2) / 128) / (math.sqrt(2 * math.pi) * 8)
        return N / (N + 1)
    logits = torch.stack((-(D**2), -(side**2) / (D**2 + 1e-5))) / 128
    return logits.softmax(0)[1]


def _log(mass: Tensor) -> Tensor:
    """Logarithm, and below 0.1 its tangent there."""
    tangent = math.log(0.1) + (mass - 0.1) / 0.1
    return torch.where(mass < 0.1, tangent, torch.log(mass.clamp(min=0.1)))
