"""Loss that models the noise of the annotation (Wan, Chan: *Modeling Noisy Annotations for Crowd
Counting*, NeurIPS 2020)."""

import math

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_positive
from mmcrowd.ops.grid import cell_centres, gaussian_kernel
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .bayesian_loss import BayesianLoss


@torch.no_grad()
def noisy_density_moments(
    points: Tensor,
    size: tuple[int, int],
    stride: int,
    noise_sigma: float,
    kernel_sigma: float,
) -> tuple[Tensor, Tensor]:
    r"""Mean and variance, in each cell, of the density map of displaced points.

    Each point :math:`y_j` is displaced by its own :math:`\epsilon_j \sim N(0, \alpha^2 I)`, so the
    map is :math:`\Phi_i = s^2 \sum_j N(x_i; y_j + \epsilon_j, \beta^2 I)`, with the centres
    :math:`x_i` and the area :math:`s^2` of the cells. With :math:`\tau^2 = \alpha^2 + \beta^2 / 2`:

    .. math::
        \mu_{ij} &= s^2 N(x_i; y_j, (\alpha^2 + \beta^2) I), \qquad E \Phi_i = \sum_j \mu_{ij}

        \mathrm{Var} \Phi_i &= \sum_j \frac{s^4}{4 \pi \beta^2} N(x_i; y_j, \tau^2 I) - \mu_{ij}^2

    All three Gaussians are products of a factor in x and one in y, so the sums over the points are
    products of matrices, in memory O((h + w) m). What lies beyond the image is lost.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        noise_sigma: Alpha, see :class:`NoiseCCLoss`.
        kernel_sigma: Beta, see :class:`NoiseCCLoss`.

    Returns:
        Mean and variance, ``(h, w)`` each, of the dtype of the points.
    """
    spread, tau = noise_sigma**2 + kernel_sigma**2, noise_sigma**2 + kernel_sigma**2 / 2
    normal = gaussian_kernel(points, size, stride, 2 * spread)
    mean = normal.to_cells() / (2 * math.pi * spread)
    squares = normal._replace(rows=normal.rows.square(), columns=normal.columns.square())
    mean_square = squares.to_cells() / (2 * math.pi * spread) ** 2
    second = gaussian_kernel(points, size, stride, 2 * tau).to_cells() / (2 * math.pi * tau)
    variance = second / (4 * math.pi * kernel_sigma**2) - mean_square
    return stride**2 * mean, stride**4 * variance.clamp(min=0)


@torch.no_grad()
def noisy_density_covariance(
    cells: Tensor,
    points: Tensor,
    stride: int,
    noise_sigma: float,
    kernel_sigma: float,
) -> Tensor:
    r"""Covariance of the density map of displaced points among some cells.

    With the names of :func:`noisy_density_moments`,

    .. math::
        \mathrm{Cov}(\Phi_i, \Phi_k) = \sum_j s^4 N(x_i - x_k; 0, 2 \beta^2 I)
            N(\tfrac12 (x_i + x_k); y_j, \tau^2 I) - \mu_{ij} \mu_{kj}

    As :math:`|(x_i + x_k) / 2 - y|^2 = (|x_i - y|^2 + |x_k - y|^2) / 2 - |x_i - x_k|^2 / 4`, the
    second Gaussian is the product of the roots of :math:`N(x_i; y_j, \tau^2 I)` and
    :math:`N(x_k; y_j, \tau^2 I)` with a factor that belongs to the first one. So this sum over the
    points is a product of matrices too, in memory O(k m + k^2).

    Args:
        cells: ``(k, 2)`` centres ``(x, y)`` of the cells in input pixels.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        noise_sigma: Alpha, see :class:`NoiseCCLoss`.
        kernel_sigma: Beta, see :class:`NoiseCCLoss`.

    Returns:
        ``(k, k)``, of the dtype of the points.
    """
    spread, tau = noise_sigma**2 + kernel_sigma**2, noise_sigma**2 + kernel_sigma**2 / 2
    offset = (cells[:, None] - points).square()  # (k, m, 2)
    mean = _normal(offset, spread).prod(2)
    root = _normal(offset, tau).prod(2).sqrt()
    apart = (cells[:, None] - cells).square().sum(2)
    pair = torch.exp(-apart * (1 / (4 * kernel_sigma**2) - 1 / (8 * tau)))
    pair /= 4 * math.pi * kernel_sigma**2
    return stride**4 * (pair * (root @ root.T) - mean @ mean.T)


def _normal(square: Tensor, variance: float) -> Tensor:
    """Density of a normal distribution in one dimension, of the squared distance to its mean."""
    return torch.exp(square / (-2 * variance)) / math.sqrt(2 * math.pi * variance)


def noise_cc_nll(
    density: Tensor,
    points: Tensor,
    stride: int,
    noise_sigma: float,
    kernel_sigma: float,
    rank: int,
    floor: float,
) -> Tensor:
    r"""Negative log-likelihood of one density map, but for its constant.

    The map of displaced points, :func:`noisy_density_moments`, is taken as normal, with its mean
    :math:`\mu` and a covariance :math:`\hat\Sigma`:

    .. math::
        L(a) = \tfrac12 (a - \mu)^\top \hat\Sigma^{-1} (a - \mu), \qquad
        \hat\Sigma = V + M A M^\top + v_0 I

    V is the diagonal matrix of the variances, M picks the ``rank`` cells of largest variance, and A
    holds their covariances off the diagonal (:func:`noisy_density_covariance`), 0 on it. So the
    picked cells have their exact covariance S, every other cell is independent, and

    .. math::
        2 L(a) = r_M^\top (S + v_0 I)^{-1} r_M + \sum_{i \notin M} r_i^2 / (V_i + v_0), \qquad
        r = a - \mu

    which the Woodbury identity gives as well. V, M and A are our understanding of the paper's low
    rank approximation. The white noise :math:`v_0` is our addition: V vanishes far from all points,
    and S is nearly singular where cells are much smaller than the kernel. It is ``floor`` times the
    variance at a lone person, so with the default it reaches V about 26 pixels away from one.

    Args:
        density: ``(h, w)`` persons per cell.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels, of the same dtype.
        stride: Input pixels per cell.
        noise_sigma: Alpha, see :class:`NoiseCCLoss`.
        kernel_sigma: Beta, see :class:`NoiseCCLoss`.
        rank: See :class:`NoiseCCLoss`.
        floor: See :class:`NoiseCCLoss`.

    Returns:
        L, a scalar.
    """
    h, w = density.shape
    with torch.no_grad():
        # float64: a crowd's variance exceeds the white noise by far, and where the noise is much
        # narrower than the kernel it is a small difference
        points = points.double()
        sigmas = noise_sigma, kernel_sigma
        mean, variance = noisy_density_moments(points, (h, w), stride, *sigmas)
        origin = points.new_zeros(1, 2)
        white = floor * noisy_density_covariance(origin, origin, stride, *sigmas)[0, 0]
        picked = variance.flatten().topk(min(rank, h * w)).indices
        x, y = cell_centres((h, w), stride, points)
        cells = torch.stack((x[picked % w], y[picked // w]), 1)
        S = noisy_density_covariance(cells, points, stride, *sigmas)
        S.diagonal().add_(white)
        root = torch.linalg.cholesky_ex(S).L  # plain cholesky would wait for the device
        precision = (1 / (variance + white)).flatten().index_fill(0, picked, 0)
    r = (density.double() - mean).flatten()
    independent = (precision * r.square()).sum()
    whitened = torch.linalg.solve_triangular(root, r[picked, None], upper=False)
    return ((independent + whitened.square().sum()) / 2).to(density.dtype)


@MODELS.register_module()
class NoiseCCLoss(BayesianLoss):
    r"""Loss that models the noise of the annotation: a likelihood and a count for each person.

    **Experimental**: a reading of the paper that is not compared with a published program. The
    terms are ``loss_noise``, ``noise_weight`` times :func:`noise_cc_nll`, and the regulariser that
    everyone's expected count is one. The paper has such a regulariser; ours is
    :func:`~mmcrowd.models.losses.bayesian_loss` with the sigma of the kernel and a background, each
    term, ``loss_point`` and ``loss_background``, of weight 1. The likelihood is a sum over cells,
    so it weighs more at a finer stride.

    Args:
        noise_sigma: Standard deviation of the displacement of an annotation, input pixels. Defaults
            to 8.0.
        kernel_sigma: Standard deviation of the density's kernel, and of the regulariser's
            likelihood, input pixels. Defaults to 8.0.
        rank: Number of cells with correlations, or all cells if there are fewer. Defaults to 100.
        noise_weight: Weight of the likelihood. Defaults to 0.01.
        background_ratio: See :class:`BayesianLoss`. Defaults to 0.15.
        floor: White noise as a share of the variance at a lone person. Defaults to 0.1.

    Raises:
        ValueError: rank is negative, or another argument not positive.

    Examples:
        The likelihood is greatest at the mean of the map over all displacements.

        >>> points = torch.tensor([[12.0, 9.0]])
        >>> mean, _ = noisy_density_moments(points, (4, 4), 8, noise_sigma=8.0, kernel_sigma=8.0)
        >>> NoiseCCLoss()(mean.view(1, 1, 4, 4), [points], stride=8)['loss_noise'] < 1e-12
        tensor(True)
    """

    def __init__(
        self,
        noise_sigma: float = 8.0,
        kernel_sigma: float = 8.0,
        rank: int = 100,
        noise_weight: float = 0.01,
        background_ratio: float = 0.15,
        floor: float = 0.1,
    ) -> None:
        check_positive(
            self,
            noise_sigma=noise_sigma,
            kernel_sigma=kernel_sigma,
            noise_weight=noise_weight,
            floor=floor,
        )
        check_at_least(self, 0, rank=rank)
        super().__init__(kernel_sigma, background_ratio=background_ratio)
        self.noise_sigma = noise_sigma
        self.kernel_sigma = kernel_sigma
        self.rank = rank
        self.noise_weight = noise_weight
        self.floor = floor

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The three terms of one image; see the base class."""
        options = self.noise_sigma, self.kernel_sigma, self.rank, self.floor
        nll = noise_cc_nll(density, points, stride, *options)
        terms = super().image_loss(density, points, stride, nearest, side)
        return dict(loss_noise=self.noise_weight * nll, **terms)
