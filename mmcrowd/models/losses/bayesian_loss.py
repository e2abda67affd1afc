"""Bayesian loss (Ma, Wei, Hong, Gong: *Bayesian Loss for Crowd Count Estimation with Point
Supervision*, ICCV 2019)."""

import torch
from torch import Tensor

from mmcrowd.models.losses.density_loss import DensityLoss
from mmcrowd.ops.grid import cell_centres
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

MAX_NATS = 690.0  # exp(-690) and its inverse are normal float64 numbers


def bayesian_loss(
    density: Tensor,
    points: Tensor,
    nearest: Partition,
    stride: int,
    sigma: float = 8.0,
    background: bool = True,
    background_ratio: float = 1.0,
    side: float | Tensor | None = None,
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

    Without the cells x points matrix: :math:`g_{ij} = \exp(-d_{ij}^2 / 2 \sigma^2)` is a factor in
    x times one in y, so both the denominators :math:`Z_i = \sum_j g_{ij} + g_{i0}` and the counts
    :math:`\sum_i g_{ij} (a_i / Z_i)` are products of matrices, in memory O((h + w) m + h w). In
    float64 they hold up to ``MAX_NATS``, for a cell less than 37 sigma from its nearest point. In a
    cell beyond, only its nearest point and the background share: another point, farther than the
    nearest one by e, would have at most :math:`\exp(-37 e / \sigma)` of the nearest one's share, so
    the result differs only close to a bisector, or if the two are within a pixel of each other.

    Args:
        density (Tensor): ``(h, w)`` persons per cell.
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        nearest (Partition): Index and distance ``(h, w)`` of every cell's nearest point.
        stride (int): Input pixels per cell.
        sigma (float): Standard deviation of the likelihood in input pixels. Defaults to 8.0.
        background (bool): Whether there is a background. Defaults to True.
        background_ratio (float): The ratio r. Defaults to 1.0.
        side (float | Tensor, optional): S in input pixels, a number or scalar. Defaults to None,
            the short side of the map.

    Returns:
        tuple[Tensor, Tensor]: Sum over the points, and background term; scalars of the dtype of the
        density.
    """
    if len(points) == 0:
        return density.new_zeros(()), density.sum().abs()
    a = density.double()
    index, distance = nearest
    with torch.no_grad():
        x, y = cell_centres(tuple(density.shape), stride, a)
        px, py = points.double()[:, None].unbind(2)
        gx = torch.exp((x - px).square() / (-2 * sigma**2))  # (m, w)
        gy = torch.exp((y - py).square() / (-2 * sigma**2))  # (m, h)
        square = distance.double().square()
        point_nats = square / (2 * sigma**2)
        if background:
            side = min(density.shape) * stride if side is None else side
            background_nats = (background_ratio * side) ** 2 / (square + 1e-5) / (2 * sigma**2)
        else:
            background_nats = torch.full_like(square, torch.inf)
        g0 = torch.exp(-background_nats)
        Z = gy.T @ gx + g0
        near = point_nats < MAX_NATS
        inverse = torch.where(near, 1 / Z, 0)
        # Share of the nearest point in a cell where it is alone with the background.
        alone = torch.where(near, 0, torch.sigmoid(background_nats - point_nats))
        background_share = torch.where(near, g0 * inverse, 1 - alone)
    count = ((gy @ (a * inverse)) * gx).sum(1)
    count = count.index_add(0, index.flatten(), (a * alone).flatten())
    terms = (1 - count).abs().sum(), (a * background_share).sum().abs()
    return tuple(term.to(density.dtype) for term in terms)


@MODELS.register_module()
class BayesianLoss(DensityLoss):
    """Bayesian loss, see :func:`bayesian_loss`.

    The background lies at a distance that goes by the short side of the whole image, not of the
    training crop. :class:`~mmcrowd.models.DensityCounter` hands it over as ``image_sides``; without
    them each map counts as a whole image.

    Args:
        sigma (float): Standard deviation of the likelihood in input pixels. Defaults to 8.0.
        background (bool): Whether the background is modelled: the paper's BAYESIAN+ if so, and
            BAYESIAN if not. Defaults to True.
        background_ratio (float): Distance at which the background lies, as a share of the image's
            short side; the authors have 0.15 on UCF-QNRF. Defaults to 1.0.

    Raises:
        ValueError: sigma or background_ratio is not positive.
    """

    needs_partition = True
    needs_image_side = True

    def __init__(
        self, sigma: float = 8.0, background: bool = True, background_ratio: float = 1.0
    ) -> None:
        super().__init__()
        for key, value in (('sigma', sigma), ('background_ratio', background_ratio)):
            if not value > 0:
                raise ValueError(f'{type(self).__name__}: {key} must be positive, but got {value}')
        self.sigma = sigma
        self.background = background
        self.background_ratio = background_ratio

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition,
        side: float | Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms of the loss of one image.

        Args:
            density (Tensor): ``(h, w)`` persons per cell, float32 or float64.
            points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels, of the same dtype.
            stride (int): Input pixels per cell.
            nearest (Partition): Index and distance ``(h, w)`` of every cell's nearest point.
            side (float | Tensor, optional): Short side of the whole image in input pixels. Defaults
                to None, that of the map.

        Returns:
            dict[str, Tensor]: ``loss_point`` and ``loss_background``, scalars.
        """
        point, background = bayesian_loss(
            density,
            points,
            nearest,
            stride,
            self.sigma,
            self.background,
            self.background_ratio,
            side,
        )
        return dict(loss_point=point, loss_background=background)
