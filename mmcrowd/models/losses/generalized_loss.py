"""Generalized Loss (Wan, Liu, Chan: *A Generalized Loss Function for Crowd Counting and
Localization*, CVPR 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_choice, check_positive
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss
from .tiled_sinkhorn import TOLERANCE, TiledCosts, log_plan_factors, unbalanced_potentials

# Least mass of a cell where the loss takes its logarithm: the slope at no mass at all is infinite.
MASS_FLOOR = 1e-8


def perspective_scale(cell: Tensor, point: Tensor) -> Tensor:
    """Length ``s = 0.2 * v + 0.5``, smaller at the top of the image: v is the mean of the vertical
    coordinates of both ends.

    Args:
        cell: Vertical coordinates between 0 and 1.
        point: Vertical coordinates between 0 and 1.

    Returns:
        Lengths, of the shape to which both broadcast.
    """
    return (cell + point).mul_(0.1).add_(0.5)


def exp_scale(cell: Tensor, point: Tensor) -> Tensor:
    """Length 0.6 everywhere, see :func:`perspective_scale`."""
    return torch.full_like(cell, 0.6)


SCALES = dict(perspective=perspective_scale, exp=exp_scale)


def unit_points(points: Tensor, size: Sequence[int], stride: int) -> Tensor:
    """Positions of points divided by the longer side of the image.

    The frame begins at 0, half a pixel before the centre of the first pixel, and its longer side
    ends at 1. A point outside goes to the nearest place of the frame.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.

    Returns:
        ``(m, 2)``.
    """
    longest = max(size)
    points = (points + 0.5) / (longest * stride)
    ends = [n / longest for n in size[::-1]]
    return torch.stack([p.clamp(0, end) for p, end in zip(points.T, ends, strict=True)], 1)


def transport_potentials(
    mass: Tensor, points: Tensor, cost: str, blur: float, scaling: float, reach: float
) -> tuple[TiledCosts, Tensor, Tensor]:
    """Dual potentials of the entropic unbalanced transport from cells to points of mass 1.

    They are those of the few steps of :func:`.tiled_sinkhorn.unbalanced_potentials`, which do not
    converge and are part of the loss. The first weight of the entropy is the diagonal of the
    rectangle around all centres of cells and points.

    Args:
        mass: ``(h, w)`` masses of the cells; less than ``MASS_FLOOR`` counts as this.
        points: ``(m, 2)`` coordinates of :func:`unit_points`, m > 0.
        cost: See :class:`GeneralizedLoss`.
        blur: See :class:`GeneralizedLoss`.
        scaling: See :class:`GeneralizedLoss`.
        reach: See :class:`GeneralizedLoss`.

    Returns:
        The costs, f ``(h * w,)`` and g ``(m,)``.
    """
    h, w = mass.shape
    side = max(h, w)
    corners = points.new_tensor([[0.5, 0.5], [w - 0.5, h - 0.5]]) / side
    places = torch.cat((corners, points))
    diameter = float((places.amax(0) - places.amin(0)).norm())
    if mass.numel() == 1:  # it may lie on its only point, but the logarithm is taken
        diameter = 1.0
    costs = TiledCosts((h, w), points, SCALES[cost], blur * TOLERANCE)
    mass = mass.flatten().clamp(min=MASS_FLOOR)
    f, g = unbalanced_potentials(costs, mass, blur, scaling, reach, diameter)
    return costs, f, g


def generalized_loss(
    density: Tensor,
    points: Tensor,
    stride: int,
    cost: str,
    blur: float,
    scaling: float,
    reach: float,
) -> dict[str, Tensor]:
    r"""The four terms of the Generalized Loss for one image, not weighted.

    With the plan :math:`\pi` and the potentials f, g of the entropic unbalanced transport of the
    density a to the points, in coordinates of :func:`unit_points`:

    .. math::
        L_{OT} &= \big(\rho + \tfrac{\epsilon}{2}\big) \Big( \sum_i a_i (1 - e^{-f_i / \rho}) +
            \sum_j (1 - e^{-g_j / \rho}) \Big), \quad \rho = \text{reach}, \epsilon = \text{blur}

        L_{pixel} &= \| \pi 1 - a \|_2^2 \qquad L_{point} = \| \pi^\top 1 - 1 \|_1 \qquad
        L_{entropy} = \tfrac{1}{nm} \sum_{ij} \pi_{ij} \log \pi_{ij}

    The gradient is that of the published program. The potentials are constants, and the plan,
    :math:`\pi_{ij} = a_i e^{(f_i + g_j - C_{ij}) / \epsilon}`, follows a, but is a constant in
    :math:`L_{pixel}`.

    Logarithms see a cell of less than ``MASS_FLOOR`` as one of this mass. Without points all terms
    are 0 but :math:`L_{OT} = \sum_i a_i`.

    No array has the size of cells times points; see :class:`.tiled_sinkhorn.TiledCosts`.

    Args:
        density: ``(h, w)`` persons per cell, not negative.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        cost: See :class:`GeneralizedLoss`.
        blur: :math:`\epsilon`, see :class:`GeneralizedLoss`.
        scaling: See :class:`GeneralizedLoss`.
        reach: :math:`\rho`, see :class:`GeneralizedLoss`.

    Returns:
        ``ot``, ``pixel``, ``point`` and ``entropy``.
    """
    mass = density.flatten()
    if len(points) == 0:
        zero = mass.sum() * 0
        return dict(ot=mass.sum(), pixel=zero, point=zero, entropy=zero)
    points = unit_points(points, tuple(density.shape), stride)
    with torch.no_grad():
        costs, f, g = transport_potentials(density, points, cost, blur, scaling, reach)
        moved, entropy, received = plan_sums(costs, mass, f, g, blur)
        missing = received - 1
        slope = plan_sums(costs, mass, f, g, blur, missing.sign())[0]  # of the point term
        f, g = ((reach + blur / 2) * -torch.expm1(-p / reach) for p in (f, g))
    log_mass = mass.clamp(min=MASS_FLOOR).log()
    return dict(
        ot=mass @ f + g.sum(),
        pixel=(mass - (mass * moved).detach()).square().sum(),
        point=missing.abs().sum() + (mass - mass.detach()) @ slope,
        entropy=(mass * (entropy + moved * log_mass)).sum() / (len(f) * len(g)),
    )


def plan_sums(
    costs: TiledCosts,
    mass: Tensor,
    f: Tensor,
    g: Tensor,
    blur: float,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Sums over the factors :math:`q_{ij} = e^{(f_i + g_j - C_{ij}) / \epsilon}` of a plan.

    Args:
        costs: C.
        mass: ``(n,)`` masses a of the cells.
        f: ``(n,)`` potential of the cells.
        g: ``(m,)`` potential of the points.
        blur: :math:`\epsilon`.
        weight: ``(m,)`` weight v of each point. Defaults to None, for 1.

    Returns:
        :math:`\sum_j q_{ij} v_j` ``(n,)``, :math:`\sum_j q_{ij} \log q_{ij}` ``(n,)`` and
        :math:`\sum_i a_i q_{ij}` ``(m,)``.
    """
    log_mass = mass.clamp(min=MASS_FLOOR).log()
    # one more cell, for those of the tiles that are beyond the map
    mass = torch.cat((mass, mass.new_zeros(1)))
    weight = torch.ones_like(g) if weight is None else weight
    from_cell, entropy, to_point = (torch.zeros_like(v) for v in (mass, mass, g))
    for cell, point, log_factor in log_plan_factors(costs, log_mass, f, g, blur):
        factor = log_factor.exp()
        from_cell[cell] = torch.bmm(factor, weight[point][:, :, None])[:, :, 0]
        entropy[cell] = log_factor.mul_(factor).sum(2)
        sums = torch.bmm(mass[cell].view(len(factor), 1, -1), factor)
        to_point.index_add_(0, point.flatten(), sums.flatten())
    return from_cell[:-1], entropy[:-1], to_point


@MODELS.register_module()
class GeneralizedLoss(DensityLoss):
    """Generalized Loss, see :func:`generalized_loss`.

    The terms are ``loss_ot``, ``loss_pixel``, ``loss_point`` and ``loss_entropy``. The host waits
    for the device in each Sinkhorn step, which finds out how many points matter to how many cells.

    Args:
        cost: What a distance d costs: ``exp(d / s) - 1``, with the s of :func:`perspective_scale`
            for ``'perspective'`` or of :func:`exp_scale` for ``'exp'``. Defaults to
            ``'perspective'``.
        blur: Weight of the entropy of the transport, and of the entropy term. Defaults to 0.01.
        scaling: Ratio of successive weights of the entropy on the way to blur. Defaults to 0.5.
        reach: Weight of the Kullback-Leibler divergences between the plan's marginals and the
            masses. Defaults to 0.5.
        marginal_weight: Weight of the pixel and the point term. Defaults to 0.1.

    Raises:
        ValueError: Unknown cost, blur or reach is not positive, or scaling is not between 0 and 1.

    Examples:
        Without points all that remains is the sum of the density.

        >>> density = torch.full((1, 1, 2, 3), 0.5)
        >>> GeneralizedLoss()(density, [torch.zeros(0, 2)], stride=8)['loss_ot']
        tensor(3.)
    """

    host_step = True

    def __init__(
        self,
        cost: str = 'perspective',
        blur: float = 0.01,
        scaling: float = 0.5,
        reach: float = 0.5,
        marginal_weight: float = 0.1,
    ) -> None:
        super().__init__()
        check_choice(self, SCALES, cost=cost)
        check_positive(self, blur=blur, reach=reach)
        if not 0 < scaling < 1:
            raise ValueError(f'GeneralizedLoss: scaling must be between 0 and 1, but got {scaling}')
        self.cost = cost
        self.blur = blur
        self.scaling = scaling
        self.reach = reach
        self.marginal_weight = marginal_weight

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The four terms of one image; see the base class."""
        terms = generalized_loss(
            density, points, stride, self.cost, self.blur, self.scaling, self.reach
        )
        weights = dict(
            ot=1, pixel=self.marginal_weight, point=self.marginal_weight, entropy=self.blur
        )
        return {f'loss_{key}': weights[key] * value for key, value in terms.items()}
