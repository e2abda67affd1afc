"""Squared error to a density map of Gaussians (Zhang et al.: *Single-Image Crowd Counting via
Multi-Column Convolutional Neural Network*, CVPR 2016; Li, Zhang, Chen: *CSRNet*, CVPR 2018)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_positive
from mmcrowd.ops.grid import SeparableKernel, cell_centres
from mmcrowd.ops.neighbours import neighbour_distances
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

NEIGHBOURS = 3  # of a point that its adaptive sigma looks at
MIN_SIGMA = 1.0  # pixels; of an adaptive sigma, which would be 0 for four points in one place


@torch.no_grad()
def gaussian_target(
    points: Tensor, size: Sequence[int], stride: int, sigma: float | Tensor
) -> Tensor:
    r"""Density map of one Gaussian per point, of which each has the mass 1 inside the image.

    .. math::
        t_i = \sum_j g_{ij} / \sum_k g_{kj}, \qquad
        g_{ij} = \exp(-\| x_i - y_j \|^2 / 2 \sigma_j^2)

    at the centres :math:`x_i` of the cells, so the map sums to the number of points. A point beyond
    the frame, which reaches half a pixel beyond the outermost pixel centres, counts at the nearest
    place of the frame. A Gaussian much narrower than a cell is all in the nearest cell.

    A Gaussian is the product of a factor in x and one in y, so the sum over the points is a product
    of matrices, ``(h, m) @ (m, w)``, in memory O((h + w) m). It is exact and costs the same for any
    sigma. To add up only the cells within 4 sigma of each point has fewer but scattered operations:
    for 256 x 256 cells and 54 to 1250 points it took a CPU a third of the time at a sigma of 2
    cells, but two to six times as long at 7.5 cells.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        sigma: Standard deviation in input pixels, for all points or ``(m,)`` for each, positive (of
            a tensor this is not checked).

    Returns:
        ``(h, w)`` persons per cell, of the dtype of the points.

    Raises:
        ValueError: sigma is a number that is not positive.
    """
    if isinstance(sigma, Tensor):
        sigma = sigma[:, None]
    elif not sigma > 0:
        raise ValueError(f'gaussian_target: sigma must be positive, but got {sigma}')

    def factor(centre: Tensor, place: Tensor) -> Tensor:
        """Share of each point along one axis: ``(n,), (m,) -> (n, m)``."""
        place = place.clamp(-0.5, len(centre) * stride - 0.5)
        # The softmax is a Gaussian over its sum, and no underflow can make that sum 0.
        return (((centre - place[:, None]) / sigma).square() / -2).softmax(1).T

    x, y = cell_centres(size, stride, points)
    return SeparableKernel(factor(y, points[:, 1]), factor(x, points[:, 0])).to_cells()


@torch.no_grad()
def adaptive_sigma(points: Tensor, beta: float, max_sigma: float) -> Tensor:
    r"""Standard deviation of each point's Gaussian from the distances to its neighbours.

    :math:`\sigma_j = \beta (d_{j1} + d_{j2} + d_{j3})` over the three nearest other points, within
    [``MIN_SIGMA``, max_sigma]. With only two or three points, the mean of the distances there are
    stands for the missing ones; a lone point has max_sigma.

    The search is exact, and a host step, for which points on another device are waited for.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels, finite.
        beta: See :class:`GaussianL2Loss`.
        max_sigma: See :class:`GaussianL2Loss`.

    Returns:
        ``(m,)`` input pixels, on the device of the points and of their dtype.

    Raises:
        ValueError: A point is not finite.
    """
    if len(points) < 2:
        return points.new_full((len(points),), max_sigma)
    distance = neighbour_distances(points.detach().cpu().double().numpy(), NEIGHBOURS)
    sigma = NEIGHBOURS * beta * torch.from_numpy(distance.mean(1))
    return sigma.clamp(MIN_SIGMA, max_sigma).to(points)


@MODELS.register_module()
class GaussianL2Loss(DensityLoss):
    r"""Squared error to a Gaussian density map, :math:`L = scale \cdot \sum_i (a_i - t_i)^2`.

    The target t is :func:`gaussian_target`. The sum is over cells, so it depends on the stride. The
    one term is ``loss_density``.

    Args:
        sigma: Standard deviation of the Gaussians in input pixels, or ``'adaptive'`` for
            :func:`adaptive_sigma`, a host step (MCNN, and CSRNet on ShanghaiTech A). CSRNet has 15
            on ShanghaiTech B. Defaults to 4.0.
        beta: For ``'adaptive'``, factor of the sum of the distances to three neighbours. Defaults
            to 0.1.
        max_sigma: For ``'adaptive'``, largest sigma in input pixels. Defaults to 15.0.
        scale: Factor of the sum. Defaults to 0.5, as in both papers.

    Raises:
        ValueError: An argument is not positive, or sigma another string.

    Examples:
        A Gaussian much narrower than a cell is all in one cell.

        >>> density = torch.tensor([[[[0.5, 0.0]]]])
        >>> GaussianL2Loss(sigma=0.1)(density, [torch.tensor([[3.5, 3.5]])], stride=8)
        {'loss_density': tensor(0.1250)}
    """

    def __init__(
        self,
        sigma: float | str = 4.0,
        beta: float = 0.1,
        max_sigma: float = 15.0,
        scale: float = 0.5,
    ) -> None:
        super().__init__()
        if sigma != 'adaptive' and (isinstance(sigma, str) or not sigma > 0):
            raise ValueError(
                f"GaussianL2Loss: sigma must be positive or 'adaptive', but got {sigma!r}"
            )
        check_positive(self, beta=beta, max_sigma=max_sigma, scale=scale)
        self.host_step = sigma == 'adaptive'
        self.sigma = sigma
        self.beta = beta
        self.max_sigma = max_sigma
        self.scale = scale

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The term of one image; see the base class."""
        sigma = self.sigma
        if sigma == 'adaptive':
            sigma = adaptive_sigma(points, self.beta, self.max_sigma)
        target = gaussian_target(points, tuple(density.shape), stride, sigma)
        return dict(loss_density=self.scale * (density - target).square().sum())
