"""Mean squared error to a map of truncated Gaussians on pixels, the loss of the C-3-Framework (Gao
et al.: *C^3 Framework: An Open-source PyTorch Code for Crowd Counting*, arXiv 1907.02724)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_positive
from mmcrowd.ops.grid import SeparableKernel
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss


@torch.no_grad()
def truncated_gaussian_target(
    points: Tensor, size: Sequence[int], stride: int, sigma: float, kernel_size: int
) -> Tensor:
    """Persons per cell, each a Gaussian in a square of pixels with the mass 1 inside the image.

    The square is centred on the pixel of the point. Where the edge of the image cuts it off, the
    Gaussian moves to the middle of what is left and is normalised again, as in the published
    program: a person in a corner is centred a quarter of the square away from it. A point beyond
    the frame counts at the nearest pixel of the frame.

    The map is made per pixel and then summed over the cells, in memory O((h + w) stride m) and one
    matrix product.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        sigma: Standard deviation in input pixels.
        kernel_size: Side of the square in input pixels, odd.

    Returns:
        ``(h, w)``, of the dtype of the points.
    """
    reach = kernel_size // 2

    def factor(cells: int, place: Tensor) -> Tensor:
        """Share of each point along one axis, ``(cells, m)``."""
        last = cells * stride - 1
        pixel = (place + 0.5).floor().clamp(0, last)[:, None]
        first, end = (pixel - reach).clamp(min=0), (pixel + reach).clamp(max=last)
        pixels = torch.arange(last + 1, device=points.device, dtype=points.dtype)
        exponent = ((pixels - (first + end) / 2) / sigma).square() / -2
        outside = (pixels < first) | (pixels > end)
        # The softmax is a Gaussian over its sum.
        share = exponent.masked_fill(outside, -torch.inf).softmax(1)
        return share.view(len(place), cells, stride).sum(2).T

    h, w = size
    return SeparableKernel(factor(h, points[:, 1]), factor(w, points[:, 0])).to_cells()


@MODELS.register_module()
class GaussianMSELoss(DensityLoss):
    r"""Mean squared error to :func:`truncated_gaussian_target`, both times a factor.

    .. math:: L = \frac{1}{h w} \sum_i (factor \cdot (a_i - t_i))^2

    It is the loss of SFCN, CSRNet and MCNN in the C-3-Framework, which predict the density of every
    pixel, stride 1, times 100. The one term is ``loss_density``.

    The program rounds coordinates down to pixels, where this takes the nearest pixel, and makes the
    map of the whole image before it cuts crops out; here a Gaussian next to the edge of a crop is
    centred in it.

    Args:
        sigma: Standard deviation of the Gaussians in input pixels. Defaults to 4.0.
        kernel_size: Side of their squares in input pixels, odd. Defaults to 15.
        factor: Defaults to 100.0.

    Raises:
        ValueError: An argument is not positive, or ``kernel_size`` is even.

    Examples:
        >>> loss = GaussianMSELoss(kernel_size=1)
        >>> loss(torch.tensor([[[[0.99, 0.0]]]]), [torch.tensor([[0.0, 0.0]])], stride=1)
        {'loss_density': tensor(0.5000)}
    """

    def __init__(self, sigma: float = 4.0, kernel_size: int = 15, factor: float = 100.0) -> None:
        super().__init__()
        check_positive(self, sigma=sigma, factor=factor)
        check_at_least(self, 1, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f'GaussianMSELoss: kernel_size must be odd, but got {kernel_size}')
        self.sigma = sigma
        self.kernel_size = kernel_size
        self.factor = factor

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The term of one image; see the base class."""
        target = truncated_gaussian_target(
            points, tuple(density.shape), stride, self.sigma, self.kernel_size
        )
        return dict(loss_density=(self.factor * (density - target)).square().mean())
