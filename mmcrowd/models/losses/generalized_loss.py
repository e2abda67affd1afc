"""Generalized Loss (Wan, Liu, Chan: *A Generalized Loss Function for Crowd Counting and
Localization*, CVPR 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcrowd.ops.grid import cell_centres
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .checks import check_choice, check_positive
from .density_loss import DensityLoss

# Least mass of a cell where the loss takes its logarithm: the slope at no mass at all is infinite.
MASS_FLOOR = 1e-8


def perspective_cost(x: Tensor, y: Tensor) -> Tensor:
    """Cost ``exp(d / s) - 1`` of a distance d, with a smaller s at the top of the image.

    ``s = 0.2 * v + 0.5``, where v is the mean of the vertical coordinates of both ends.

    Args:
        x: ``(..., n, 2)`` coordinates ``(x, y)`` between 0 and 1.
        y: ``(..., m, 2)`` coordinates ``(x, y)`` between 0 and 1.

    Returns:
        ``(..., n, m)`` costs.
    """
    height = (x[..., :, None, 1] + y[..., None, :, 1]) / 2
    return torch.expm1(_distance(x, y) / (0.2 * height + 0.5))


def exp_cost(x: Tensor, y: Tensor) -> Tensor:
    """Cost ``exp(d / 0.6) - 1`` of a distance d, see :func:`perspective_cost`."""
    return torch.expm1(_distance(x, y) / 0.6)


COSTS = dict(perspective=perspective_cost, exp=exp_cost)


def _distance(x: Tensor, y: Tensor) -> Tensor:
    # the default way is not exact for short distances
    return torch.cdist(x, y, compute_mode='donot_use_mm_for_euclid_dist')


def _samples_loss() -> type:
    """``geomloss.SamplesLoss``, or how to get it."""
    try:
        from geomloss import SamplesLoss
    except ImportError as error:
        raise ImportError(
            'GeneralizedLoss needs geomloss, which is not installed: pip install geomloss'
        ) from error
    return SamplesLoss


def unit_coordinates(points: Tensor, size: Sequence[int], stride: int) -> tuple[Tensor, Tensor]:
    """Positions of cells and points divided by the longer side of the image.

    The frame begins at 0, half a pixel before the centre of the first pixel, and its longer side
    ends at 1. A point outside goes to the nearest place of the frame.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.

    Returns:
        ``(h * w, 2)`` cells and ``(m, 2)`` points.
    """
    h, w = size
    side = max(size) * stride
    x, y = cell_centres(size, stride, points)
    cells = torch.stack(torch.meshgrid(x, y, indexing='xy'), 2).view(-1, 2)
    points = (points + 0.5) / side
    limits = (w * stride / side, h * stride / side)
    points = torch.stack([p.clamp(0, end) for p, end in zip(points.T, limits, strict=True)], 1)
    return (cells + 0.5) / side, points


def transport_potentials(
    mass: Tensor,
    cells: Tensor,
    points: Tensor,
    cost: str,
    blur: float,
    scaling: float,
    reach: float,
) -> tuple[Tensor, Tensor]:
    """Dual potentials of the entropic unbalanced transport from cells to points of mass 1.

    The steps of geomloss with its scaling of the entropy are few and do not converge; they are
    part of the loss.

    Args:
        mass: ``(n,)`` masses of the cells; less than ``MASS_FLOOR`` counts as this.
        cells: ``(n, 2)`` coordinates of :func:`unit_coordinates`.
        points: ``(m, 2)`` coordinates of :func:`unit_coordinates`, m > 0.
        cost: See :class:`GeneralizedLoss`.
        blur: See :class:`GeneralizedLoss`.
        scaling: See :class:`GeneralizedLoss`.
        reach: See :class:`GeneralizedLoss`.

    Returns:
        f ``(n,)`` and g ``(m,)``, without gradient.

    Raises:
        ImportError: geomloss is not installed.
    """
    sinkhorn = _samples_loss()(
        'sinkhorn',
        p=1,
        blur=blur,
        reach=reach,
        # None measures it, but its logarithm is taken, and one cell may lie on its only point
        diameter=1.0 if len(cells) == 1 else None,
        scaling=scaling,
        cost=COSTS[cost],
        debias=False,
        potentials=True,
        backend='tensorized',
    )
    # also undoes that geomloss switches gradients on
    with torch.no_grad():
        ones = points.new_ones(len(points))
        f, g = sinkhorn(mass.clamp(min=MASS_FLOOR), cells, ones, points)
    return f.flatten(), g.flatten()


def log_plan_factor(f: Tensor, g: Tensor, cost: Tensor, blur: float) -> Tensor:
    r"""Logarithm of :math:`\pi_{ij} / (a_i b_j)` for the plan :math:`\pi` of dual potentials.

    Args:
        f: ``(n,)`` potential of the masses a.
        g: ``(m,)`` potential of the masses b.
        cost: ``(n, m)`` costs.
        blur: Weight of the entropy.

    Returns:
        ``(n, m)``.
    """
    return (f[:, None] + g - cost) / blur


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
    density a to the points, in coordinates of :func:`unit_coordinates`:

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

    Memory and time grow with cells times points, some five arrays of this size; geomloss waits for
    the device once.

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

    Raises:
        ImportError: geomloss is not installed.
    """
    mass = density.flatten()
    if len(points) == 0:
        zero = mass.sum() * 0
        return dict(ot=mass.sum(), pixel=zero, point=zero, entropy=zero)
    cells, points = unit_coordinates(points, tuple(density.shape), stride)
    f, g = transport_potentials(mass, cells, points, cost, blur, scaling, reach)
    with torch.no_grad():
        log_factor = log_plan_factor(f, g, COSTS[cost](cells, points), blur)
        factor = log_factor.exp()
        moved = factor.sum(1)  # from a cell, by unit of its mass
        entropy = (factor * log_factor).sum(1)
        f, g = ((reach + blur / 2) * -torch.expm1(-p / reach) for p in (f, g))
    log_mass = mass.clamp(min=MASS_FLOOR).log()
    return dict(
        ot=mass @ f + g.sum(),
        pixel=(mass - (mass * moved).detach()).square().sum(),
        point=(mass @ factor - 1).abs().sum(),
        entropy=(mass * (entropy + moved * log_mass)).sum() / factor.numel(),
    )


@MODELS.register_module()
class GeneralizedLoss(DensityLoss):
    """Generalized Loss, see :func:`generalized_loss`.

    The terms are ``loss_ot``, ``loss_pixel``, ``loss_point`` and ``loss_entropy``. For the extent
    of each image geomloss waits for the device once, a host step. Needs the optional package
    geomloss: ``pip install geomloss``.

    Args:
        cost: ``'perspective'`` or ``'exp'``, see :func:`perspective_cost` and :func:`exp_cost`.
            Defaults to ``'perspective'``.
        blur: Weight of the entropy of the transport, and of the entropy term. Defaults to 0.01.
        scaling: Ratio of successive weights of the entropy on the way to blur. Defaults to 0.5.
        reach: Weight of the Kullback-Leibler divergences between the plan's marginals and the
            masses. Defaults to 0.5.
        marginal_weight: Weight of the pixel and the point term. Defaults to 0.1.

    Raises:
        ImportError: geomloss is not installed.
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
        _samples_loss()
        check_choice(self, COSTS, cost=cost)
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
