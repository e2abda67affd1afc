"""Squared error to a density map of Gaussians (Zhang et al.: *Single-Image Crowd Counting via
Multi-Column Convolutional Neural Network*, CVPR 2016; Li, Zhang, Chen: *CSRNet*, CVPR 2018)."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from mmcrowd.models.losses.density_loss import DensityLoss
from mmcrowd.ops.grid import cell_centres
from mmcrowd.registry import MODELS

NEIGHBOURS = 3  # of a point that its adaptive sigma looks at
MIN_SIGMA = 1.0  # pixels; of an adaptive sigma, which would be 0 for four points in one place


@torch.no_grad()
def gaussian_target(
    points: Tensor, size: tuple[int, int], stride: int, sigma: float | Tensor
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
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size (tuple[int, int]): Height and width ``(h, w)`` in cells.
        stride (int): Input pixels per cell.
        sigma (float | Tensor): Standard deviation in input pixels, for all points or ``(m,)`` for
            each, positive (of a tensor this is not checked).

    Returns:
        Tensor: ``(h, w)`` persons per cell, of the dtype of the points.

    Raises:
        ValueError: sigma is a number that is not positive.
    """
    if isinstance(sigma, Tensor):
        sigma = sigma[:, None]
    elif not sigma > 0:
        raise ValueError(f'gaussian_target: sigma must be positive, but got {sigma}')

    def factor(centre: Tensor, place: Tensor) -> Tensor:
        place = place.clamp(-0.5, len(centre) * stride - 0.5)
        # The softmax is a Gaussian over its sum, and no underflow can make that sum 0.
        return (((centre - place[:, None]) / sigma).square() / -2).softmax(1)

    x, y = cell_centres(size, stride, points)
    return factor(y, points[:, 1]).T @ factor(x, points[:, 0])


@torch.no_grad()
def adaptive_sigma(points: Tensor, beta: float = 0.1, max_sigma: float = 15.0) -> Tensor:
    r"""Standard deviation of each point's Gaussian from the distances to its neighbours.

    :math:`\sigma_j = \beta (d_{j1} + d_{j2} + d_{j3})` over the three nearest other points, within
    [``MIN_SIGMA``, max_sigma]. With only two or three points, the mean of the distances there are
    stands for the missing ones; a lone point has max_sigma.

    The search is exact, and a host step: a tree in float64 in O(m log m) time and O(m) memory, for
    which points on another device are waited for.

    Args:
        points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels, finite.
        beta (float): Factor of the sum of the distances. Defaults to 0.1.
        max_sigma (float): Largest sigma, input pixels. Defaults to 15.0.

    Returns:
        Tensor: ``(m,)`` input pixels, on the device of the points and of their dtype.

    Raises:
        ValueError: A point is not finite.
    """
    m = len(points)
    if m < 2:
        return points.new_full((m,), max_sigma)
    places = points.detach().cpu().double().numpy()
    distance, _ = cKDTree(places).query(places, min(NEIGHBOURS + 1, m))
    # The least is a point's distance 0 to itself.
    sigma = NEIGHBOURS * beta * torch.from_numpy(distance[:, 1:].mean(1))
    return sigma.clamp(MIN_SIGMA, max_sigma).to(points)


@MODELS.register_module()
class GaussianL2Loss(DensityLoss):
    r"""Squared error to a Gaussian density map, :math:`L = scale \cdot \sum_i (a_i - t_i)^2`.

    The target t is :func:`gaussian_target`. The sum is over cells, so it depends on the stride; the
    mean over the images is the base's.

    Args:
        sigma (float | str): Standard deviation of the Gaussians in input pixels, or ``'adaptive'``
            for :func:`adaptive_sigma`, a host step (MCNN, and CSRNet on ShanghaiTech A). CSRNet has
            15 on ShanghaiTech B. Defaults to 4.0.
        beta (float): See :func:`adaptive_sigma`; only for ``'adaptive'``. Defaults to 0.1.
        max_sigma (float): See :func:`adaptive_sigma`; only for ``'adaptive'``. Defaults to 15.0.
        scale (float): Factor of the sum. Defaults to 0.5, as in both papers.

    Raises:
        ValueError: An argument is not positive, or sigma another string.
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
        for key, value in (('beta', beta), ('max_sigma', max_sigma), ('scale', scale)):
            if not value > 0:
                raise ValueError(f'GaussianL2Loss: {key} must be positive, but got {value}')
        self.sigma = sigma
        self.beta = beta
        self.max_sigma = max_sigma
        self.scale = scale

    def image_loss(self, density: Tensor, points: Tensor, stride: int) -> dict[str, Tensor]:
        """Squared error of one image, ``loss_density``; see :meth:`DensityLoss.image_loss`."""
        sigma = self.sigma
        if sigma == 'adaptive':
            sigma = adaptive_sigma(points, self.beta, self.max_sigma)
        target = gaussian_target(points, tuple(density.shape), stride, sigma)
        return dict(loss_density=self.scale * (density - target).square().sum())
