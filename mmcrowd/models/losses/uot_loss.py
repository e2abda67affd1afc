"""Unbalanced optimal transport with a squared distance: the idea of Ma, Wei, Hong, Lin, Qiu, Gong
(*Learning to Count via Unbalanced Optimal Transport*, AAAI 2021), but not their cost and solver."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_positive
from mmcrowd.ops.grid import SeparableKernel, gaussian_kernel
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

MAX_RHO = 30  # largest rho / epsilon whose kernel values, exp(-2 rho / epsilon), suit float32


def accelerated_iteration(
    step: Callable[[Tensor], Tensor], start: Tensor, bound: float, iterations: int
) -> Tensor:
    """Repeat a step with the momentum of Nesterov, which starts anew when a step goes against it.

    Plain repetition is slow where a step changes little (O'Donoghue and Candès, *Adaptive restart
    for accelerated gradient schemes*, 2015). The host looks at no value.

    Args:
        step: From a vector ``(m,)`` to the next.
        start: First vector ``(m,)``.
        bound: The momentum goes no further than this in absolute value.
        iterations: Number of steps.

    Returns:
        ``(m,)``, the result of the last step.
    """
    g = previous = start
    age = g.new_zeros(())  # steps since the momentum started
    for _ in range(iterations):
        ahead = (g + age / (age + 3) * (g - previous)).clamp(-bound, bound)
        new = step(ahead)
        against = ((new - ahead) * (g - previous)).sum() < 0
        age = torch.where(against, 0, age + 1)
        g, previous = new, g
    return g


def uot_potentials(
    density: Tensor, kernel: SeparableKernel, rho: float, epsilon: float, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Dual potentials of entropic unbalanced transport with total variation marginals.

    The scaling steps of Chizat, Peyré, Schmitzer and Vialard (*Scaling algorithms for unbalanced
    optimal transport problems*, Mathematics of Computation, 2018) on the dual of :func:`uot_loss`.
    Total variation clips the potentials:

    .. math::
        f_i = \text{clip}\Big({-\epsilon} \log \tfrac{1}{m} \sum_j e^{(g_j - C_{ij}) / \epsilon},
            -\rho, \rho\Big) \qquad
        g_j = \text{clip}\Big({-\epsilon} \log \tfrac{1}{m} \sum_i a_i
            e^{(f_i - C_{ij}) / \epsilon}, -\rho, \rho\Big)

    These alone are slow where the mass of a neighbourhood is nearly right, so g is found by
    :func:`accelerated_iteration`.

    As :math:`e^{(f - \rho) / \epsilon}` lies in :math:`[e^{-2 \rho / \epsilon}, 1]`, and that of g
    too, a sum below :math:`e^{-2 \rho / \epsilon}` counts as this. Where this is well above the
    smallest number of the dtype, sums of exponentials lose nothing against sums in the logarithmic
    domain, and the kernel can stay separable.

    Args:
        density: ``(h, w)`` persons per cell.
        kernel: ``exp(-C / epsilon)``, with m > 0 points.
        rho: Cost of a unit of mass too much or too little.
        epsilon: Weight of the entropy.
        iterations: Number of steps, each from g to f to g.

    Returns:
        f ``(h, w)``, g ``(m,)``, and for each cell the share of its mass that the plan moves to
        points, ``(h, w)``.
    """
    m = kernel.rows.shape[1]
    floor = math.exp(-2 * rho / epsilon)

    def reached(g: Tensor) -> Tensor:
        """exp(-(f + rho) / epsilon) before clipping; at most 1, as g is at most rho."""
        return kernel.to_cells(((g - rho) / epsilon).exp()) / m

    def scaling_step(g: Tensor) -> Tensor:
        """From g to f to g; u is exp((f - rho) / epsilon)."""
        u = floor / reached(g).clamp(min=floor)
        sums = kernel.to_points(density * u) / m
        return -rho - epsilon * sums.clamp(floor, 1).log()

    g = accelerated_iteration(scaling_step, torch.zeros_like(kernel.rows[0]), rho, iterations)
    sums = reached(g)
    f = -rho - epsilon * sums.clamp(min=floor).log()
    return f, g, (sums / floor).clamp(max=1)


def uot_loss(
    density: Tensor,
    points: Tensor,
    stride: int,
    scale: float,
    rho: float,
    epsilon: float,
    iterations: int,
) -> Tensor:
    r"""Unbalanced optimal transport from a density to points, for one image.

    .. math::
        L = \min_{\pi \ge 0} \langle \pi, C \rangle + \rho \| \pi 1 - a \|_1 +
            \rho \| \pi^\top 1 - 1 \|_1 +
            \epsilon\, \text{KL}\big(\pi \,|\, a \otimes \tfrac{1}{m} 1\big)
        \qquad C_{ij} = \frac{|x_i - y_j|^2}{\text{scale}^2}

    Mass that costs more than :math:`2 \rho` to move stays where it is and costs :math:`\rho`, and
    so does the point that it does not reach. A point that lacks mass draws it from within
    :math:`\sqrt{\rho}\,` scale. KL is to a measure with the mass of the density, so that the
    entropy adds nothing to the price of mass.

    The value is the dual,
    :math:`\langle a, f \rangle + \sum_j g_j - \epsilon \sum_{ij} \tfrac{a_i}{m}
    (e^{(f_i + g_j - C_{ij}) / \epsilon} - 1)`, a lower bound of L at all potentials of
    :func:`uot_potentials`, and equal to L once they have converged. The gradient treats the
    potentials as constants (envelope theorem), and lies in :math:`[-\rho, \rho + \epsilon]`.
    Without points :math:`L = \rho \sum_i a_i`. The cost, the solver and the defaults are
    choices of this library.

    Args:
        density: ``(h, w)`` persons per cell, not negative.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        scale: See :class:`UOTLoss`.
        rho: See :class:`UOTLoss`.
        epsilon: See :class:`UOTLoss`.
        iterations: See :class:`UOTLoss`; each costs two products of ``(h, m)`` with ``(m, w)``.

    Returns:
        The loss, a scalar.
    """
    if len(points) == 0:
        return rho * density.sum()
    with torch.no_grad():
        kernel = gaussian_kernel(points, tuple(density.shape), stride, epsilon * scale**2)
        f, g, share = uot_potentials(density, kernel, rho, epsilon, iterations)
    return (density * (f + epsilon * (1 - share))).sum() + g.sum()


@MODELS.register_module()
class UOTLoss(DensityLoss):
    """Unbalanced optimal transport loss, see :func:`uot_loss`; its one term is ``loss_uot``.

    The cost, the solver and the defaults are choices of this library, not those of the paper.

    Args:
        scale: Distance whose cost is 1, in input pixels. Defaults to 32.0.
        rho: Cost of a unit of mass too much or too little. Defaults to 1.0.
        epsilon: Weight of the entropy, at least rho / 30: below, float32 would not do. The
            transport is blurred by about ``scale * sqrt(epsilon / 2)``. Defaults to 0.05.
        iterations: Number of scaling steps. Defaults to 100.

    Raises:
        ValueError: scale or rho is not positive, epsilon is less than rho / 30, or iterations is
            less than 1.

    Examples:
        One person in the place of a point, and half a person without any.

        >>> density = torch.tensor([[[[1.0]]], [[[0.5]]]])
        >>> points = [torch.tensor([[3.5, 3.5]]), torch.zeros(0, 2)]
        >>> UOTLoss()(density, points, stride=8)
        {'loss_uot': tensor(0.2500)}
    """

    def __init__(
        self,
        scale: float = 32.0,
        rho: float = 1.0,
        epsilon: float = 0.05,
        iterations: int = 100,
    ) -> None:
        super().__init__()
        check_positive(self, scale=scale, rho=rho)
        if not epsilon * MAX_RHO >= rho:
            raise ValueError(
                f'UOTLoss: epsilon must be at least rho / {MAX_RHO} = {rho / MAX_RHO:.3g}, '
                f'but got {epsilon}'
            )
        check_at_least(self, 1, iterations=iterations)
        self.scale = scale
        self.rho = rho
        self.epsilon = epsilon
        self.iterations = iterations

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The term of one image; see the base class."""
        options = self.scale, self.rho, self.epsilon, self.iterations
        return dict(loss_uot=uot_loss(density, points, stride, *options))
