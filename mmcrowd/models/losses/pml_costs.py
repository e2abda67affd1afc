r"""Costs and backgrounds of the Proximal Mapping Loss (Lin, Wan and Chan, ICLR 2025).

A cost c is what it takes to move mass from a cell to its point. A background is the weight w that
the mass of a cell has in the first term of the loss (Table 7 of the paper): made of a cost, or the
posterior of the background next to the point. With d the distance of a cell from its point, and D
the largest d of its case, in input pixels.
"""

import math

import torch
from torch import Tensor

from .point_cases import PointCases


def clamped_cost(cases: PointCases) -> Tensor:
    """Cost ``exp(d / max(D, 32)) - 1`` of the authors' program, which gave the reported numbers.

    Args:
        cases: The cases of the batch.

    Returns:
        ``(N * h * w,)`` costs.
    """
    return (cases.distance / cases.to_cells(cases.max(cases.distance).clamp(min=32))).exp() - 1


def max_normalized_cost(cases: PointCases) -> Tensor:
    """Cost ``exp(d) / max exp(d)`` of eq. 24, without its overflow; see :func:`clamped_cost`."""
    return (cases.distance - cases.to_cells(cases.max(cases.distance))).exp()


def euclidean_cost(cases: PointCases) -> Tensor:
    """Cost d, in input pixels; see :func:`clamped_cost`."""
    return cases.distance


def centered_background(cases: PointCases, cost: Tensor) -> Tensor:
    r"""Background :math:`w = c - \bar c` of PML: the cost minus its mean over the case.

    Args:
        cases: The cases of the batch.
        cost: ``(N * h * w,)`` costs.

    Returns:
        ``(N * h * w,)`` weights.
    """
    return cost - cases.to_cells(cases.mean(cost))


def cost_background(cases: PointCases, cost: Tensor) -> Tensor:
    """Background ``w = c``; see :func:`centered_background`."""
    return cost


def bayesian_background(cases: PointCases, sigma: float) -> Tensor:
    r"""Posterior of the background next to the point (eq. 12).

    .. math::
        w = \frac{N}{N + 1}, \qquad N = \frac{1}{\sqrt{2 \pi} \sigma}
            \exp \Big( {-\frac{(D - d)^2}{2 \sigma^2}} \Big)

    It is largest in the cell that is farthest from the point, but with a sigma of 8 less than 0.05
    even there.

    Args:
        cases: The cases of the batch.
        sigma: In input pixels.

    Returns:
        ``(N * h * w,)`` weights.
    """
    farthest = cases.to_cells(cases.max(cases.distance))
    logit = -(((farthest - cases.distance) / sigma) ** 2) / 2
    return torch.sigmoid(logit - math.log(math.sqrt(2 * math.pi) * sigma))


def ma2019_background(cases: PointCases, sigma: float) -> Tensor:
    r"""Posterior of the background next to the point in the program of Bayesian Loss.

    That of a dummy at the squared distance :math:`S^2 / (d^2 + 10^{-5})`, with S the short side of
    the whole image, see :func:`~mmcrowd.models.losses.bayesian_loss` (Ma, Wei, Hong and Gong, ICCV
    2019). It rises from 0 at the point to 1 far from it.

    Args:
        cases: The cases of the batch, with sides.
        sigma: Standard deviation of the likelihood in input pixels.

    Returns:
        ``(N * h * w,)`` weights.
    """
    square = cases.distance.square()
    side = cases.to_cells(cases.sides.index_select(0, cases.image))
    return torch.sigmoid((square - side**2 / (square + 1e-5)) / (2 * sigma**2))


COSTS = dict(clamped=clamped_cost, max_normalized=max_normalized_cost, euclidean=euclidean_cost)
COST_BACKGROUNDS = dict(centered=centered_background, cost=cost_background)
SIGMA_BACKGROUNDS = dict(bayesian=bayesian_background, ma2019=ma2019_background)
BACKGROUNDS = (*COST_BACKGROUNDS, *SIGMA_BACKGROUNDS)
