"""Characteristic function loss for noisy annotations (Shu, Wan and Chan: *Generalized
Characteristic Function Loss for Crowd Analysis in the Frequency Domain*, TPAMI 2024)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmcrowd.fileio.checkpoints import read_checkpoint
from mmcrowd.ops.checks import check_at_least, check_not_negative, check_positive
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .chf_loss import characteristic_error
from .density_loss import DensityLoss


def gaussian_noise_variance(
    noise_bandwidth: float, bandwidth: float, steps: int, tick: float
) -> Tensor:
    r"""What annotation noise adds to the characteristic function of one point.

    .. math::
        v(\omega) = \big( 1 - e^{-s^2 \| \omega \|^2 / 2} \big) e^{-\sigma^2 \| \omega \|^2 / 2}

    with s the noise and :math:`\sigma` the bandwidth, as in the authors' program. (The variance of
    one point displaced by such noise has twice these exponents.)

    Args:
        noise_bandwidth: See :class:`GCFLoss`.
        bandwidth: See :class:`GCFLoss`.
        steps: See :class:`GCFLoss`.
        tick: See :class:`GCFLoss`.

    Returns:
        ``(2 * steps, 2 * steps)`` float64, indexed by the frequency along y and that along x.
    """
    omega = tick * torch.arange(-steps, steps, dtype=torch.float64)
    square = omega[:, None] ** 2 + omega**2
    return -torch.expm1(-(noise_bandwidth**2) * square / 2) * torch.exp(
        -(bandwidth**2) * square / 2
    )


def gcf_loss(error: Tensor, variance: Tensor, num_points: int) -> Tensor:
    r""":math:`\sum_\omega | e(\omega) | / \sqrt{1 + m v(\omega)}` of one image.

    Args:
        error: ``(2, 2 * steps, 2 * steps)``, see
            :func:`~mmcrowd.models.losses.chf_loss.characteristic_error`.
        variance: v, ``(2 * steps, 2 * steps)``, of one point.
        num_points: m.

    Returns:
        A scalar.
    """
    return (torch.linalg.vector_norm(error, dim=0) / (1 + num_points * variance).sqrt()).sum()


@MODELS.register_module()
class GCFLoss(DensityLoss):
    r"""Generalized characteristic function loss, with a window that is robust to noisy annotations;
    its one term is ``loss_gcf``.

    The error e of the characteristic functions (see :class:`CHFLoss`) counts less at frequencies
    where the places of the m annotated points are uncertain:

    .. math::
        L = \sum_\omega \frac{| e(\omega) |}{\sqrt{1 + m v(\omega)}}

    By default v belongs to Gaussian noise, see :func:`gaussian_noise_variance`. The authors' other
    window takes a measured v, which comes with their program as ``empirical_var.pt``, times 0.5 or,
    with more noise, 1.

    Unlike in :class:`CHFLoss` the sum is not multiplied by the square of the tick, as in the
    program: it is 10,000 times as large. Without noise this class adds nothing to
    ``CHFLoss(form='moduli')``; the forms that the authors' journal paper has for clean annotations
    are ``'sparse'`` and ``'dense'`` there.

    Args:
        noise_bandwidth: Standard deviation of the noise along each axis, in input pixels; the
            authors have 10, 20 or 30. Defaults to 20.0.
        variance: File with v, a tensor ``(2 * steps, 2 * steps)`` with the frequency along y first,
            in the place of Gaussian noise. Defaults to None.
        variance_scale: Factor of the v of the file. Defaults to 0.5.
        bandwidth: Standard deviation of the Gaussian around each point, in input pixels. Defaults
            to 8.0.
        steps: Half the number of frequencies along each axis. Defaults to 30.
        tick: Distance of two frequencies in radians per input pixel. Defaults to 0.01.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A number is not in its range, or the file holds something else.

    Examples:
        >>> density = torch.zeros(1, 1, 4, 5)
        >>> density[0, 0, 2, 3] = 3
        >>> GCFLoss()(density, [torch.zeros(0, 2)], stride=8)  # 3 times 60 x 60 frequencies
        {'loss_gcf': tensor(10800.)}
    """

    _values: Tensor

    def __init__(
        self,
        noise_bandwidth: float = 20.0,
        variance: str | None = None,
        variance_scale: float = 0.5,
        bandwidth: float = 8.0,
        steps: int = 30,
        tick: float = 0.01,
    ) -> None:
        super().__init__()
        check_not_negative(self, noise_bandwidth=noise_bandwidth, variance_scale=variance_scale)
        check_positive(self, bandwidth=bandwidth, tick=tick)
        check_at_least(self, 1, steps=steps)
        self.noise_bandwidth = noise_bandwidth
        self.variance = variance
        self.variance_scale = variance_scale
        self.bandwidth = bandwidth
        self.steps = steps
        self.tick = tick
        if variance is None:
            values = gaussian_noise_variance(noise_bandwidth, bandwidth, steps, tick)
        else:
            values = variance_scale * load_variance(variance, steps)
        self.register_buffer('_values', values, persistent=False)

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
        return dict(loss_gcf=gcf_loss(error, self._values.to(error), len(points)))


def load_variance(path: str | Path, steps: int) -> Tensor:
    """Read what a measurement of annotation noise gives for one point.

    Args:
        path: File that ``torch.save`` has written.
        steps: Half the number of frequencies along each axis.

    Returns:
        ``(2 * steps, 2 * steps)`` float64.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It does not hold such a tensor of finite numbers from 0 on.
    """
    values: Any = read_checkpoint(path)  # here one tensor
    size = (2 * steps, 2 * steps)
    seen = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
    if seen != size:
        raise ValueError(f'{path}: expected a tensor {size} for steps={steps}, but got {seen}')
    values = values.double()
    if not (values.isfinite() & (values >= 0)).all():
        raise ValueError(f'{path}: variances must be finite and at least 0')
    return values
