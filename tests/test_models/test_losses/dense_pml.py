"""The Proximal Mapping Loss of one image as its formula reads: dense (cells x points) matrices."""

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
    """Eq. 24 and its relatives with the special cases of the authors' program.

    Args:
        density (Tensor): ``(h, w)`` persons per cell.
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride (int): Input pixels per cell.
        cost (str): ``'clamped'``, ``'max_normalized'`` or ``'euclidean'``.
        epsilon (float): Weight of the count term.
        norm (str): ``'l1'`` (eq. 24), ``'l2'`` (eq. 13) or ``'kl'`` (eq. 23, or with tau eq. 35;
            the logarithm of a mass below 0.1 on the tangent at 0.1, and what a case lacks of this
            mass spread over its cells in the transport).
        background (str): ``'centered'``, ``'cost'``, ``'bayesian'`` (eq. 12) or ``'ma2019'``; the
            default goes by norm.
        tau (float): Of eq. 35.

    Returns:
        Tensor: The loss, a scalar of the dtype of the density.
    """
    h, w = density.shape
    a = density.flatten()
    if len(points) == 0:
        return a.abs().sum() + a.sum().abs()
    if a.sum() <= 1:
        return (a.sum() - len(points)).abs()

    y, x = torch.meshgrid(torch.arange(h).to(a), torch.arange(w).to(a), indexing='ij')
    cells = torch.stack((x, y), -1).view(-1, 2) * stride + (stride - 1) / 2
    distance = torch.cdist(
        cells, points.to(a), compute_mode='donot_use_mm_for_euclid_dist'
    )  # (n, m)
    P = F.one_hot(distance.argmin(1), len(points)).to(a)  # (n, m)
    farthest = (P * distance).amax(0)
    if background == 'bayesian':
        N = torch.exp(-((farthest - distance) ** 2) / 128) / (math.sqrt(2 * math.pi) * 8)
        C = N / (N + 1)
    elif background == 'ma2019':
        dummy = (min(h, w) * stride) ** 2 / (distance**2 + 1e-5)
        likelihood = torch.stack((-(distance**2) / 128, -dummy / 128))
        C = likelihood.softmax(0)[1]
    elif cost == 'clamped':
        C = torch.exp(distance / farthest.clamp(min=32)) - 1
    elif cost == 'max_normalized':
        # a cell beyond its own case could overflow, and is masked by P
        C = torch.exp((distance - farthest).clamp(max=0))
    else:
        C = distance
    if (background or ('cost' if norm == 'kl' else 'centered')) == 'centered':
        C = C - (P * C).sum(0) / P.sum(0).clamp(min=1)
    mass = P.T @ a
    if norm == 'kl' and tau is not None:
        owned = P.sum(0) > 0
        least = torch.where(P > 0, C, torch.inf).amin(0).masked_fill(~owned, 0)
        filled = a[:, None] + (0.1 - mass).clamp(min=0) / P.sum(0).clamp(min=1)
        eta = (P * filled * torch.exp(-(C - least).clamp(min=-700 * tau) / tau)).sum(0)
        transport = tau * (torch.log(mass.clamp(min=0.1)) - torch.log(eta + ~owned)) + least
        count = tau * (mass - floored_log(mass) - 1)
        return (torch.where(owned, transport, 0) + count).sum()
    if norm == 'kl':
        transport = (P * C).T @ a / mass.clamp(min=0.1)
        return (transport + epsilon * (mass - floored_log(mass) - 1)).sum()
    error = (mass - 1).abs()
    if norm == 'l2':
        error = error**2 / (2 * P.sum(0).clamp(min=1))
    return a @ (P * C).sum(1) + epsilon * error.sum()


def floored_log(mass: Tensor) -> Tensor:
    tangent = math.log(0.1) + (mass - 0.1) / 0.1
    return torch.where(mass < 0.1, tangent, torch.log(mass.clamp(min=0.1)))
