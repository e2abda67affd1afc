"""Unbalanced optimal transport (Ma, Wei, Hong, Lin, Qiu, Gong: *Learning to Count via Unbalanced
Optimal Transport*, AAAI 2021)."""

import math

import torch
from torch import Tensor

from mmcrowd.models.losses.density_loss import DensityLoss
from mmcrowd.ops.grid import SeparableKernel, gaussian_kernel
from mmcrowd.registry import MODELS

MAX_RHO = 30  # largest rho / epsilon whose kernel values, exp(-2 rho / epsilon), suit float32


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

    These alone are slow where the mass of a neighbourhood is nearly right. So g has the momentum of
    Nesterov, which starts anew when a step goes against it (O'Donoghue and Candès, *Adaptive
    restart for accelerated gradient schemes*, 2015).

    As :math:`e^{(f - \rho) / \epsilon}` lies in :math:`[e^{-2 \rho / \epsilon}, 1]`, and that of g
    too, a sum below :math:`e^{-2 \rho / \epsilon}` counts as this. Where this is well above the
    smallest number of the dtype, sums of exponentials lose nothing against sums in the logarithmic
    domain, and the kernel can stay separable.

    Args:
        density (Tensor): ``(h, w)`` persons per cell.
        kernel (SeparableKernel): ``exp(-C / epsilon)``, with m > 0 points.
        rho (float): Cost of a unit of mass too much or too little.
        epsilon (float): Weight of the entropy.
        iterations (int): Number of steps, each from g to f to g.

    Returns:
        tuple[Tensor, Tensor, Tensor]: f ``(h, w)``, g ``(m,)``, and for each cell the share of its
        mass that the plan moves to points, ``(h, w)``.
    """
    m = kernel.rows.shape[1]
    floor = math.exp(-2 * rho / epsilon)

    def reached(g: Tensor) -> Tensor:
        """exp(-(f + rho) / epsilon) before clipping; at most 1, as g is at most rho."""
        return kernel.to_cells(((g - rho) / epsilon).exp()) / m

    g = previous = torch.zeros_like(kernel.rows[0])
    age = g.new_zeros(())
    for _ in range(iterations):
        ahead = (g + age / (age + 3) * (g - previous)).clamp(-rho, rho)
        u = floor / reached(ahead).clamp(min=floor)
        sums = kernel.to_points(density * u) / m
        step = -rho - epsilon * sums.clamp(floor, 1).log()
        against = ((step - ahead) * (g - previous)).sum() < 0
        age = torch.where(against, 0, age + 1)
        g, previous = step, g
    sums = reached(g)
    f = -rho - epsilon * sums.clamp(min=floor).log()
    return f, g, (sums / floor).clamp(max=1)


def uot_loss(
    density: Tensor,
    points: Tensor,
    stride: int,
    scale: float = 32.0,
    rho: float = 1.0,
    epsilon: float = 0.05,
    iterations: int = 100,
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
        density (Tensor): ``(h, w)`` persons per cell, not negative.
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride (int): Input pixels per cell.
        scale (float): Distance whose cost is 1, in input pixels. Defaults to 32.0.
        rho (float): Cost of a unit of mass too much or too little. Defaults to 1.0.
        epsilon (float): Weight of the entropy. Defaults to 0.05.
        iterations (int): Number of scaling steps; each costs two products of ``(h, m)`` with
            ``(m, w)``. Defaults to 100.

    Returns:
        Tensor: The loss, a scalar.
    """
    if len(points) == 0:
        return rho * density.sum()
    with torch.no_grad():
        kernel = gaussian_kernel(points, tuple(density.shape), stride, epsilon * scale**2)
        f, g, share = uot_potentials(density, kernel, rho, epsilon, iterations)
    return (density * (f + epsilon * (1 - share))).sum() + g.sum()


@MODELS.register_module()
class UOTLoss(DensityLoss):
    """Unbalanced optimal transport loss, see :func:`uot_loss`.

    Args:
        scale (float): Distance whose cost is 1, in input pixels. Defaults to 32.0.
        rho (float): Cost of a unit of mass too much or too little. Defaults to 1.0.
        epsilon (float): Weight of the entropy, at least rho / 30: below, float32 would not do. The
            transport is blurred by about ``scale * sqrt(epsilon / 2)``. Defaults to 0.05.
        iterations (int): Number of scaling steps. Defaults to 100.

    Raises:
        ValueError: scale or rho is not positive, epsilon is less than rho / 30, or iterations is
            less than 1.
    """

    def __init__(
        self,
        scale: float = 32.0,
        rho: float = 1.0,
        epsilon: float = 0.05,
        iterations: int = 100,
    ) -> None:
        super().__init__()
        for key, value in (('scale', scale), ('rho', rho)):
            if not value > 0:
                raise ValueError(f'UOTLoss: {key} must be positive, but got {value}')
        if not epsilon * MAX_RHO >= rho:
            raise ValueError(
                f'UOTLoss: epsilon must be at least rho / {MAX_RHO} = {rho / MAX_RHO:.3g}, '
                f'but got {epsilon}'
            )
        if iterations < 1:
            raise ValueError(f'UOTLoss: iterations must be at least 1, but got {iterations}')
        self.scale = scale
        self.rho = rho
        self.epsilon = epsilon
        self.iterations = iterations

    def image_loss(self, density: Tensor, points: Tensor, stride: int) -> dict[str, Tensor]:
        """Loss of one image.

        Args:
            density (Tensor): ``(h, w)`` persons per cell.
            points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
            stride (int): Input pixels per cell.

        Returns:
            dict[str, Tensor]: ``loss_uot``.
        """
        return dict(
            loss_uot=uot_loss(
                density,
                points,
                stride,
                scale=self.scale,
                rho=self.rho,
                epsilon=self.epsilon,
                iterations=self.iterations,
            )
        )
