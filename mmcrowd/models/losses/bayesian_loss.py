"""Bayesian loss (Ma, Wei, Hong, Gong: *Bayesian Loss for Crowd Count Estimation with Point
Supervision*, ICCV 2019)."""

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_positive
from mmcrowd.ops.grid import gaussian_kernel
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

MAX_NATS = 690.0  # exp(-690) and its inverse are normal float64 numbers


def bayesian_loss(
    density: Tensor,
    points: Tensor,
    nearest: Partition,
    stride: int,
    side: float | Tensor,
    sigma: float,
    background: bool,
    background_ratio: float,
) -> tuple[Tensor, Tensor]:
    r"""Bayesian loss of one image.

    The posterior of a cell is a softmax over the points j and the background 0 with the logits
    :math:`-d_{ij}^2 / 2 \sigma^2`:

    .. math::
        L(a) = \sum_j | 1 - \sum_i p_{ij} a_i | + | \sum_i p_{i0} a_i |

    where :math:`d_{ij}` is the distance of cell i from point j, and the background is as far away
    as :math:`d_{i0}^2 = (r S)^2 / (\min_j d_{ij}^2 + 10^{-5})`, with the ratio r and the short side
    S, in pixels, of the whole image that the density may be a crop of; that is the published
    program's form, not the paper's. Without points all is background,
    :math:`L = | \sum_i a_i |`.

    Args:
        density: ``(h, w)`` persons per cell.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        nearest: Index and distance ``(h, w)`` of every cell's nearest point.
        stride: Input pixels per cell.
        side: S in input pixels, a number or scalar.
        sigma: See :class:`BayesianLoss`.
        background: See :class:`BayesianLoss`.
        background_ratio: The ratio r, see :class:`BayesianLoss`.

    Returns:
        Sum over the points, and background term; scalars of the dtype of the density.
    """
    if len(points) == 0:
        return density.new_zeros(()), density.sum().abs()
    far = None
    if background:
        far = (background_ratio * side) ** 2 / (nearest.distance.double().square() + 1e-5)
    count, of_background = posterior_products(density, points, nearest, stride, sigma, far)
    terms = (1 - count).abs().sum(), of_background.abs()
    return tuple(term.to(density.dtype) for term in terms)


def posterior_products(
    density: Tensor,
    points: Tensor,
    nearest: Partition,
    stride: int,
    sigma: float,
    background_square: Tensor | None,
) -> tuple[Tensor, Tensor]:
    r"""Expected counts :math:`\sum_i p_{ij} a_i` of the points and of the background, in float64.

    The posterior p of :func:`bayesian_loss` is never made, as it has cells x points entries:
    :math:`g_{ij} = \exp(-d_{ij}^2 / 2 \sigma^2)` is a factor in x times one in y, so both the
    denominators :math:`Z_i = \sum_j g_{ij} + g_{i0}` and the counts
    :math:`\sum_i g_{ij} (a_i / Z_i)` are products of matrices, in memory O((h + w) m + h w). In
    float64 they hold up to ``MAX_NATS``, for a cell less than 37 sigma from its nearest point. In a
    cell beyond, only its nearest point and the background share: another point, farther than the
    nearest one by e, would have at most :math:`\exp(-37 e / \sigma)` of the nearest one's share, so
    the result differs only close to a bisector, or if the two are within a pixel of each other.

    Args:
        density: ``(h, w)`` persons per cell a.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels, m > 0.
        nearest: Index and distance ``(h, w)`` of every cell's nearest point.
        stride: Input pixels per cell.
        sigma: Standard deviation of the likelihood in input pixels.
        background_square: ``(h, w)`` squared distance of the background from each cell in input
            pixels squared, float64, or None without a background.

    Returns:
        ``(m,)`` counts of the points, and the count of the background, a scalar.
    """
    a = density.double()
    with torch.no_grad():
        kernel = gaussian_kernel(points.double(), tuple(density.shape), stride, 2 * sigma**2)
        square = nearest.distance.double().square()
        point_nats = square / (2 * sigma**2)
        background_nats = torch.full_like(square, torch.inf)
        if background_square is not None:
            background_nats = background_square / (2 * sigma**2)
        g0 = torch.exp(-background_nats)
        near = point_nats < MAX_NATS
        inverse = torch.where(near, 1 / (kernel.to_cells() + g0), 0)  # 1 / Z
        # Share of the nearest point in a cell where it is alone with the background.
        alone = torch.where(near, 0, torch.sigmoid(background_nats - point_nats))
        background_share = torch.where(near, g0 * inverse, 1 - alone)
    count = kernel.to_points(a * inverse)
    count = count.index_add(0, nearest.index.flatten(), (a * alone).flatten())
    return count, (a * background_share).sum()


@MODELS.register_module()
class BayesianLoss(DensityLoss):
    """Bayesian loss, see :func:`bayesian_loss`; terms ``loss_point`` and ``loss_background``.

    The background lies at a distance that goes by the short side of the whole image, not of the
    training crop. :meth:`loss` takes it from the samples; to a direct call it is ``image_sides``,
    without which each map counts as a whole image.

    Args:
        sigma: Standard deviation of the likelihood in input pixels. Defaults to 8.0.
        background: Whether the background is modelled: the paper's BAYESIAN+ if so, and BAYESIAN if
            not. Defaults to True.
        background_ratio: Distance at which the background lies, as a share of the image's short
            side; the authors have 0.15 on UCF-QNRF. Defaults to 1.0.

    Raises:
        ValueError: sigma or background_ratio is not positive.

    Examples:
        >>> density = torch.full((1, 1, 4, 4), 0.25)  # 4 persons
        >>> points = [torch.tensor([[5.0, 5.0], [25.0, 20.0]])]
        >>> BayesianLoss(background=False)(density, points, stride=8)
        {'loss_point': tensor(2.), 'loss_background': tensor(0.)}
    """

    needs_partition = True
    needs_image_side = True

    def __init__(
        self, sigma: float = 8.0, background: bool = True, background_ratio: float = 1.0
    ) -> None:
        super().__init__()
        check_positive(self, sigma=sigma, background_ratio=background_ratio)
        self.sigma = sigma
        self.background = background
        self.background_ratio = background_ratio

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Both terms of one image; see the base class."""
        options = self.sigma, self.background, self.background_ratio
        point, background = bayesian_loss(density, points, nearest, stride, side, *options)
        return dict(loss_point=point, loss_background=background)
