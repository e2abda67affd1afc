"""Characteristic function loss (Shu, Wan, Tan, Kwong and Chan: *Crowd Counting in the Frequency
Domain*, CVPR 2022)."""

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_choice, check_positive
from mmcrowd.ops.grid import cell_centres
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss


def characteristic_error(
    density: Tensor, points: Tensor, stride: int, bandwidth: float, steps: int, tick: float
) -> Tensor:
    r"""Difference of the characteristic functions of a density map and of its smoothed points.

    With :math:`x_i` the centre of cell i, :math:`y_j` the points and :math:`\omega` on the grid
    ``tick * {-steps, ..., steps - 1}`` along both axes:

    .. math::
        e(\omega) = \chi_a(\omega) - \chi_y(\omega) = \sum_i a_i e^{i \omega^\top x_i}
            - \sum_j e^{i \omega^\top y_j - \sigma^2 \| \omega \|^2 / 2}

    Every exponential is a factor along x times one along y, so the sums are matrix products, and
    no array has cells x frequencies or points x frequencies entries.

    Positions count from the outer corner of the frame, half a pixel before the centre of the first
    pixel. The place of the origin turns the phase of the difference but not its modulus.

    Args:
        density: ``(h, w)`` persons per cell, float32 or float64.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        bandwidth: Sigma, see :class:`CHFLoss`.
        steps: See :class:`CHFLoss`.
        tick: See :class:`CHFLoss`.

    Returns:
        Real and imaginary part, ``(2, 2 * steps, 2 * steps)``, indexed by the part, the frequency
        along y, and that along x.
    """
    # Phases reach hundreds of radians, and more for points far away: in float32 they are too rough.
    omega = tick * torch.arange(-steps, steps, device=density.device, dtype=torch.float64)

    def waves(position: Tensor) -> Tensor:
        """Cosines, then sines: ``(n,) -> (4 * steps, n)``."""
        phase = omega[:, None] * (position.double() + 0.5)
        return torch.cat((phase.cos(), phase.sin())).to(density)

    x, y = cell_centres(density.shape, stride, like=omega)
    smooth = torch.exp(-((bandwidth * omega) ** 2) / 2).repeat(2).to(density)
    predicted = waves(y) @ density @ waves(x).T
    target = smooth[:, None] * (waves(points[:, 1]) @ waves(points[:, 0]).T) * smooth
    (cos_cos, cos_sin), (sin_cos, sin_sin) = (
        rows.chunk(2, dim=1) for rows in (predicted - target).chunk(2)
    )
    return torch.stack((cos_cos - sin_sin, cos_sin + sin_cos))


def chf_moduli(error: Tensor, tick: float) -> Tensor:
    r""":math:`\delta^2 \sum_\omega | e(\omega) |` of the error ``(2, 2 * steps, 2 * steps)``."""
    return tick**2 * torch.linalg.vector_norm(error, dim=0).sum()


def chf_sparse(error: Tensor, tick: float) -> Tensor:
    r""":math:`\delta \big( \sum_\omega | e(\omega) |^2 \big)^{1/2}`, see :func:`chf_moduli`."""
    return tick * torch.linalg.vector_norm(error)


def chf_dense(error: Tensor, tick: float) -> Tensor:
    r""":math:`\delta^2 \sum_{\omega_y} \big[ \big( \sum_{\omega_x} (\mathrm{Re}\, e)^2 \big)^{1/2}
    + \big( \sum_{\omega_x} (\mathrm{Im}\, e)^2 \big)^{1/2} \big]`, see :func:`chf_moduli`."""
    return tick**2 * torch.linalg.vector_norm(error, dim=2).sum()


FORMS = dict(moduli=chf_moduli, sparse=chf_sparse, dense=chf_dense)


@MODELS.register_module(name=['CHFLoss', 'ChfLoss'])
class CHFLoss(DensityLoss):
    r"""Characteristic function loss; its one term is ``loss_chf``.

    A norm of the error e of :func:`characteristic_error`, with :math:`\delta` the tick:

    .. math::
        L_{moduli} &= \delta^2 \sum_\omega | e(\omega) | \\
        L_{sparse} &= \delta \Big( \sum_\omega | e(\omega) |^2 \Big)^{1/2} \\
        L_{dense} &= \delta^2 \sum_{\omega_y} \Big[
            \Big( \sum_{\omega_x} (\mathrm{Re}\, e)^2 \Big)^{1/2}
            + \Big( \sum_{\omega_x} (\mathrm{Im}\, e)^2 \Big)^{1/2} \Big]

    Where a norm is 0 its gradient is taken as 0. ``'moduli'`` is the loss of the paper. The
    authors' program has two others: ``'sparse'`` for sparse data sets such as ShanghaiTech B,
    ``'dense'`` for dense ones such as ShanghaiTech A and UCF-QNRF.

    Positions that lie a multiple of ``2 * pi / tick`` apart along an axis, 628 pixels by default,
    look the same to this loss: train on smaller crops or take a smaller tick.

    The name ``ChfLoss`` of earlier configs is an alias.

    Args:
        form: ``'moduli'``, ``'sparse'`` or ``'dense'``. Defaults to ``'moduli'``.
        bandwidth: Standard deviation of the Gaussian around each point, in input pixels. Defaults
            to 8.0.
        steps: Half the number of frequencies along each axis. Defaults to 30.
        tick: Distance of two frequencies in radians per input pixel. Defaults to 0.01.

    Raises:
        ValueError: Unknown form; bandwidth or tick is not positive, or steps is less than 1.

    Examples:
        Without points, one mass of 3 has a characteristic function of this size at each of the 60
        x 60 frequencies.

        >>> density = torch.zeros(1, 1, 4, 5)
        >>> density[0, 0, 2, 3] = 3
        >>> CHFLoss()(density, [torch.zeros(0, 2)], stride=8)
        {'loss_chf': tensor(1.0800)}
    """

    def __init__(
        self,
        form: str = 'moduli',
        bandwidth: float = 8.0,
        steps: int = 30,
        tick: float = 0.01,
    ) -> None:
        super().__init__()
        check_choice(self, FORMS, form=form)
        check_positive(self, bandwidth=bandwidth, tick=tick)
        check_at_least(self, 1, steps=steps)
        self.form = form
        self.bandwidth = bandwidth
        self.steps = steps
        self.tick = tick

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The term of one image; see the base class."""
        error = characteristic_error(density, points, stride, self.bandwidth, self.steps, self.tick)
        return dict(loss_chf=FORMS[self.form](error, self.tick))


ChfLoss = CHFLoss  # the name of earlier versions
