"""Characteristic function loss (Shu, Wan, Tan, Kwong and Chan: *Crowd Counting in the Frequency
Domain*, CVPR 2022)."""

import torch
from torch import Tensor

from mmcrowd.ops.grid import cell_centres
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

FORMS = ('moduli', 'sparse', 'dense')


def characteristic_error(
    density: Tensor,
    points: Tensor,
    stride: int,
    bandwidth: float = 8.0,
    steps: int = 30,
    tick: float = 0.01,
) -> tuple[Tensor, Tensor]:
    r"""Difference of the characteristic functions of a density map and of its smoothed points.

    With :math:`x_i` the centre of cell i, :math:`y_j` the points and :math:`\omega` on the grid
    ``tick * {-steps, ..., steps - 1}`` along both axes:

    .. math::
        \chi_a(\omega) - \chi_y(\omega) = \sum_i a_i e^{i \omega^\top x_i}
            - \sum_j e^{i \omega^\top y_j - \sigma^2 \| \omega \|^2 / 2}

    Every exponential is a factor along x times one along y, so the sums are matrix products, and
    no array has cells x frequencies or points x frequencies entries.

    Positions count from the outer corner of the frame, half a pixel before the centre of the first
    pixel. The place of the origin turns the phase of the difference but not its modulus.

    Args:
        density (Tensor): ``(h, w)`` persons per cell, float32 or float64.
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride (int): Input pixels per cell.
        bandwidth (float): Standard deviation sigma of the Gaussian around each point, in input
            pixels. Defaults to 8.0.
        steps (int): Half the number of frequencies along each axis. Defaults to 30.
        tick (float): Distance of two frequencies in radians per input pixel. Defaults to 0.01.

    Returns:
        tuple[Tensor, Tensor]: Real and imaginary part, ``(2 * steps, 2 * steps)`` each, indexed by
        the frequency along y, then along x.
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
    return cos_cos - sin_sin, cos_sin + sin_cos


def chf_loss(
    density: Tensor,
    points: Tensor,
    stride: int,
    form: str = 'moduli',
    bandwidth: float = 8.0,
    steps: int = 30,
    tick: float = 0.01,
) -> Tensor:
    r"""Characteristic function loss of one image.

    With :math:`e = \chi_a - \chi_y` of :func:`characteristic_error` and :math:`\delta` the tick:

    .. math::
        L_{moduli} &= \delta^2 \sum_\omega | e(\omega) | \\
        L_{sparse} &= \delta \Big( \sum_\omega | e(\omega) |^2 \Big)^{1/2} \\
        L_{dense} &= \delta^2 \sum_{\omega_y} \Big[
            \Big( \sum_{\omega_x} (\mathrm{Re}\, e)^2 \Big)^{1/2}
            + \Big( \sum_{\omega_x} (\mathrm{Im}\, e)^2 \Big)^{1/2} \Big]

    Where a norm is 0 its gradient is taken as 0. An image without points has :math:`\chi_y = 0`.

    Args:
        density (Tensor): ``(h, w)`` persons per cell, float32 or float64.
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride (int): Input pixels per cell.
        form (str): ``'moduli'``, ``'sparse'`` or ``'dense'``. Defaults to ``'moduli'``.
        bandwidth (float): See :func:`characteristic_error`. Defaults to 8.0.
        steps (int): See :func:`characteristic_error`. Defaults to 30.
        tick (float): See :func:`characteristic_error`. Defaults to 0.01.

    Returns:
        Tensor: The loss, a scalar.

    Raises:
        ValueError: Unknown form.
    """
    if form not in FORMS:
        raise ValueError(f'form must be one of {FORMS}, but got {form!r}')
    error = torch.stack(characteristic_error(density, points, stride, bandwidth, steps, tick))
    if form == 'sparse':
        return tick * torch.linalg.vector_norm(error)
    # over the two parts, or along x
    return tick**2 * torch.linalg.vector_norm(error, dim=0 if form == 'moduli' else 2).sum()


@MODELS.register_module()
class ChfLoss(DensityLoss):
    """Characteristic function loss, see :func:`chf_loss`.

    ``'moduli'`` is the loss of the paper. The authors' program has two others: ``'sparse'`` for
    sparse data sets such as ShanghaiTech B, ``'dense'`` for dense ones such as ShanghaiTech A and
    UCF-QNRF.

    Positions that lie a multiple of ``2 * pi / tick`` apart along an axis, 628 pixels by default,
    look the same to this loss: train on smaller crops or take a smaller tick.

    Args:
        form (str): ``'moduli'``, ``'sparse'`` or ``'dense'``. Defaults to ``'moduli'``.
        bandwidth (float): Standard deviation of the Gaussian around each point, in input pixels.
            Defaults to 8.0.
        steps (int): Half the number of frequencies along each axis. Defaults to 30.
        tick (float): Distance of two frequencies in radians per input pixel. Defaults to 0.01.

    Raises:
        ValueError: Unknown form; bandwidth or tick is not positive, or steps is less than 1.
    """

    def __init__(
        self,
        form: str = 'moduli',
        bandwidth: float = 8.0,
        steps: int = 30,
        tick: float = 0.01,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f'ChfLoss: form must be one of {FORMS}, but got {form!r}')
        for key, value in (('bandwidth', bandwidth), ('tick', tick)):
            if not value > 0:
                raise ValueError(f'ChfLoss: {key} must be positive, but got {value}')
        if steps < 1:
            raise ValueError(f'ChfLoss: steps must be at least 1, but got {steps}')
        self.form = form
        self.bandwidth = bandwidth
        self.steps = steps
        self.tick = tick

    def image_loss(self, density: Tensor, points: Tensor, stride: int) -> dict[str, Tensor]:
        """The only term of one image: ``loss_chf``."""
        loss = chf_loss(density, points, stride, self.form, self.bandwidth, self.steps, self.tick)
        return dict(loss_chf=loss)
