"""DM-Count (Wang, Liu, Samaras, Hoai: *Distribution Matching for Crowd Counting*, NeurIPS 2020)."""

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_positive
from mmcrowd.ops.grid import SeparableKernel, gaussian_kernel, points_per_cell
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

# Joins each denominator of a Sinkhorn step, and the scaling before its logarithm. It is part of
# the published loss: a kernel value below it counts as nothing, so that a cell which no point
# reaches has a constant cost.
GUARD = 1e-16
MASS_FLOOR = 1e-4  # mass of an image around which the pull of its OT and TV term fades out


def cell_potential(density: Tensor, kernel: SeparableKernel, reg: float, iterations: int) -> Tensor:
    r"""Dual potential of the cells in the entropic transport from uniform points to a density.

    Sinkhorn's scaling steps with the kernel K between points and cells, from
    :math:`u = 1 / m`, and with :math:`\delta` = ``GUARD`` against division by zero:

    .. math::
        v = a / (K^\top u + \delta) \qquad u = \tfrac{1}{m} / (K v + \delta) \qquad
        \beta = \text{reg} \log (v + \delta)

    Args:
        density: ``(h, w)`` with the sum 1.
        kernel: ``exp(-cost / reg)``, with m > 0 points.
        reg: Weight of the entropy.
        iterations: Number of steps. They do not always suffice to converge, and are part of the
            loss.

    Returns:
        ``(h, w)`` potential, up to a constant.
    """
    mass = 1 / kernel.rows.shape[1]
    u = torch.full_like(kernel.rows[0], mass)
    for _ in range(iterations):
        v = density / (kernel.to_cells(u) + GUARD)
        u = mass / (kernel.to_points(v) + GUARD)
    return reg * (v + GUARD).log()


def dm_count_loss(
    density: Tensor, points: Tensor, stride: int, reg: float, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The three terms of DM-Count for one image, not weighted.

    With the density a of mass s, m points y, and g the number of points per cell:

    .. math::
        L_C = | s - m | \qquad
        L_{OT} = W(a / s, 1 / m) \qquad
        L_{TV} = m \sum_i \left| a_i / s - g_i / m \right|

    W is entropic optimal transport with the squared distance in pixels as its cost. As in the
    published program, :math:`L_{OT}` is a surrogate: its gradient is that of the transport cost,
    :math:`\beta / s - \langle \beta, a \rangle / s^2` with the potential :math:`\beta` of
    :func:`cell_potential`, and its value is 0. How far it reaches depends on reg: with 10, a
    cell more than 27 pixels from every point is drawn to none.

    :math:`1 / s` is :math:`s / (s^2 + \text{MASS\_FLOOR}^2)`, so that a density near 0 has finite
    gradients. Without points or without density only the count term is not 0.

    Args:
        density: ``(h, w)`` persons per cell, not negative.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        reg: See :class:`DMCountLoss`.
        iterations: See :class:`DMCountLoss`; each costs two products of ``(h, m)`` with ``(m, w)``.

    Returns:
        Count, OT and TV term.
    """
    m = len(points)
    total = density.sum()
    count = (total - m).abs()
    if m == 0:
        return count, total * 0, total * 0
    inverse = total / (total.square() + MASS_FLOOR**2)
    with torch.no_grad():
        size = tuple(density.shape)
        share = density / total.clamp(min=torch.finfo(total.dtype).tiny)
        kernel = gaussian_kernel(points, size, stride, reg)
        potential = cell_potential(share, kernel, reg, iterations)
        slope = (potential - (share * potential).sum()) * inverse
        target = points_per_cell(points, size, stride)
    ot = (density * slope).sum()
    tv = torch.where(total > 0, (m * inverse * density - target).abs().sum(), 0)
    return count, ot, tv


@MODELS.register_module()
class DMCountLoss(DensityLoss):
    """DM-Count, see :func:`dm_count_loss`; terms ``loss_count``, ``loss_ot`` and ``loss_tv``.

    ``loss_ot`` drives the training, but its value is 0.

    Args:
        ot_weight: Weight of the optimal transport term. Defaults to 0.1.
        tv_weight: Weight of the total variation term. Defaults to 0.01.
        reg: Weight of the entropy of the transport, in input pixels squared. Defaults to 10.0.
        iterations: Number of Sinkhorn steps. Defaults to 100.

    Raises:
        ValueError: reg is not positive, or iterations is less than 1.

    Examples:
        Three points in two cells with the densities 1 and 3: the total variation is that of
        3 * (1/4, 3/4) from (1, 2).

        >>> density = torch.tensor([[[[1.0, 3.0]]]])
        >>> points = [torch.tensor([[0.0, 0.0], [1.6, 0.0], [9.0, 0.0]])]
        >>> terms = DMCountLoss()(density, points, stride=2)
        >>> terms['loss_count'], terms['loss_tv']
        (tensor(1.), tensor(0.0050))
    """

    def __init__(
        self,
        ot_weight: float = 0.1,
        tv_weight: float = 0.01,
        reg: float = 10.0,
        iterations: int = 100,
    ) -> None:
        super().__init__()
        check_positive(self, reg=reg)
        check_at_least(self, 1, iterations=iterations)
        self.ot_weight = ot_weight
        self.tv_weight = tv_weight
        self.reg = reg
        self.iterations = iterations

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms of one image; see the base class."""
        count, ot, tv = dm_count_loss(density, points, stride, self.reg, self.iterations)
        return dict(loss_count=count, loss_ot=self.ot_weight * ot, loss_tv=self.tv_weight * tv)
