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
) -> Tensor:
    """Eq. 24 or eq. 23 with the special cases of the authors' program.

    Args:
        density (Tensor): ``(h, w)`` persons per cell.
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride (int): Input pixels per cell.
        cost (str): ``'clamped'`` or ``'max_normalized'``.
        epsilon (float): Weight of the count term.
        norm (str): ``'l1'`` (eq. 24) or ``'kl'`` (eq. 23, a mass below 0.1 on the tangent at 0.1).

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
    if cost == 'clamped':
        C = torch.exp(distance / farthest.clamp(min=32)) - 1
    else:
        # a cell beyond its own case could overflow, and is masked by P
        C = torch.exp((distance - farthest).clamp(max=0))
    mass = P.T @ a
    if norm == 'kl':
        transport = (P * C).T @ a / mass.clamp(min=0.1)
        tangent = 0.1 - math.log(0.1) - 1 + (1 - 1 / 0.1) * (mass - 0.1)
        error = torch.where(mass < 0.1, tangent, mass - torch.log(mass.clamp(min=0.1)) - 1)
        return transport.sum() + epsilon * error.sum()
    C = C - (P * C).sum(0) / P.sum(0).clamp(min=1)
    return a @ (P * C).sum(1) + epsilon * (mass - 1).abs().sum()
