"""Optimal Transport Minimization as its formulas read: dense (cells x points) matrices."""

import torch
from torch import Tensor


def dense_otm(density: Tensor, starts: Tensor, stride: int, max_iterations: int = 16) -> Tensor:
    """Move points to the barycentres of their annealed plan until they rest.

    Args:
        density (Tensor): ``(h, w)`` persons per cell, not negative, with the sum N.
        starts (Tensor): ``(N, 2)`` positions ``(x, y)`` in input pixels, of the same dtype.
        stride (int): Input pixels per cell.
        max_iterations (int): Iterations at most.

    Returns:
        Tensor: ``(N, 2)`` points, of the same dtype.
    """
    y, x = torch.meshgrid(*(torch.arange(n).to(density) for n in density.shape), indexing='ij')
    cells = torch.stack((x, y), -1).view(-1, 2) * stride + (stride - 1) / 2
    points = starts
    for _ in range(max_iterations):
        plan = dense_plan(cells, density.flatten(), points)
        moved = plan.T @ cells / plan.sum(0)[:, None]
        distance = (moved - points).norm(dim=1)
        points = moved
        if distance.mean() < 1 and distance.max() < stride:
            break
    return points


def dense_plan(cells: Tensor, mass: Tensor, points: Tensor) -> Tensor:
    """The ``(cells, points)`` plan after one Sinkhorn step at each epsilon."""
    C = (cells[:, None] - points).square().sum(-1) / 2 / 32
    epsilon = max(8.0, float(C.max()))
    g = torch.zeros_like(points[:, 0])
    while epsilon > 0.01:
        f, g = sinkhorn_step(C, mass, g, epsilon)
        epsilon *= 0.75
    f, g = sinkhorn_step(C, mass, g, 0.01)
    return mass[:, None] * torch.exp((f[:, None] + g - C) / 0.01)


def sinkhorn_step(C: Tensor, mass: Tensor, g: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    f = -epsilon * torch.logsumexp((g - C) / epsilon, 1)
    g = -epsilon * torch.logsumexp((f[:, None] - C) / epsilon + mass.log()[:, None], 0)
    return f, g
