"""Squared error to a generated density map (Wan, Wang and Chan: *Kernel-based Density Map
Generation for Dense Object Counting*, IEEE TPAMI 2020)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcrowd.ops.cells import cell_centre, cell_position
from mmcrowd.ops.checks import check_not_negative, check_positive
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

# A predicted map that is smaller than this part of its target, by norm, is normalised as if it had
# this size: so a dead network has a finite gradient.
NORM_FLOOR = 0.1


class KernelGenerator(nn.Module):
    r"""Learned density map generator: one free-form kernel for each point.

    Point j spreads its mass over the k x k cells around it, those of them that lie in the map:

    .. math::
        T = \sum_j K_j, \qquad K_j = \mathrm{softmax}(\log G_j + r_j), \qquad
        r_j = f_\theta(\text{patch of } \textstyle\sum_i G_i \text{ around point } j)

    :math:`G_j` is a Gaussian around the point with mass 1 on those cells, f two linear layers with
    a ReLU between. The last layer starts at zero, so that T starts as the classic map
    :math:`\sum_j G_j`. Whatever f learns, each kernel is positive and has mass 1 inside the map:
    the sum of T is the number of points. A point outside of the frame is moved to its border.

    Memory is m * k^2.

    Args:
        kernel_size: Side k of the kernels in cells, odd; see :class:`KDMGLoss`.
        sigma: Standard deviation of G in input pixels, see :class:`KDMGLoss`.
        hidden_channels: Hidden units of f, see :class:`KDMGLoss`.

    Raises:
        ValueError: kernel_size is not positive and odd; sigma or hidden_channels is not positive.
    """

    def __init__(self, kernel_size: int, sigma: float, hidden_channels: int) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f'KernelGenerator: kernel_size must be positive and odd, but got {kernel_size}'
            )
        check_positive(self, sigma=sigma, hidden_channels=hidden_channels)
        self.kernel_size = kernel_size
        self.sigma = sigma
        self.refine = nn.Sequential(
            nn.Linear(kernel_size**2, hidden_channels),
            nn.ReLU(),
            nn.Linear(hidden_channels, kernel_size**2),
        )
        nn.init.zeros_(self.refine[-1].weight)
        nn.init.zeros_(self.refine[-1].bias)

    def forward(self, points: Tensor, size: Sequence[int], stride: int) -> tuple[Tensor, Tensor]:
        """Generate the density map of one image.

        Args:
            points: ``(m, 2)`` positions ``(x, y)`` in input pixels, float32 or float64.
            size: Height and width ``(h, w)`` of the map in cells.
            stride: Input pixels per cell.

        Returns:
            The map ``(h, w)`` in persons per cell, and the divergence ``KL(K_j || G_j)`` of each
            kernel from its Gaussian, ``(m,)``; both of the dtype of the points.
        """
        h, w = size
        columns, log_x = self._axis(points[:, 0], w, stride)
        rows, log_y = self._axis(points[:, 1], h, stride)
        cells = (rows[:, :, None] * w + columns[:, None]).flatten()
        prior = (log_y[:, :, None] + log_x[:, None]).flatten(1).log_softmax(1)

        def spread(kernels: Tensor) -> Tensor:
            return kernels.new_zeros(h * w).index_add(0, cells, kernels.flatten())

        # 1 is about the peak of a lone Gaussian
        scale = max(1.0, 2 * math.pi * (self.sigma / stride) ** 2)
        patches = scale * spread(prior.exp()).index_select(0, cells).view_as(prior)
        patches = patches.masked_fill(prior == -torch.inf, 0)
        residual = self.refine(patches.to(self.refine[0].weight.dtype)).to(prior)

        logits = prior + residual
        kernels = logits.softmax(1)
        # log K - log G = r - logsumexp(log G + r), also where both are 0
        divergence = (kernels * residual).sum(1) - logits.logsumexp(1)
        return spread(kernels).view(h, w), divergence

    def _axis(self, position: Tensor, side: int, stride: int) -> tuple[Tensor, Tensor]:
        """Along one axis, the cells of each kernel and the logarithm of the Gaussian there.

        Args:
            position: ``(m,)`` coordinates in input pixels.
            side: Cells of the map along this axis.
            stride: Input pixels per cell.

        Returns:
            Index, moved into the map, and logarithm, -inf outside of the map; ``(m, kernel_size)``
            each.
        """
        position = position.clamp(-0.5, side * stride - 0.5)
        centre = cell_position(position, stride).round().clamp(0, side - 1).long()
        reach = self.kernel_size // 2
        cell = centre[:, None] + torch.arange(-reach, reach + 1, device=position.device)
        distance = cell_centre(cell, stride) - position[:, None]
        inside = (cell >= 0) & (cell < side)
        log = -((distance / self.sigma) ** 2) / 2
        return cell.clamp(0, side - 1), log.masked_fill(~inside, -torch.inf)


def cosine_loss(density: Tensor, target: Tensor) -> Tensor:
    r"""One minus the cosine of the angle between two maps.

    .. math:: 1 - \frac{a^\top T}{\max(\| a \|, 0.1 \| T \|) \, \| T \|}

    A map a smaller than a tenth of T has no reliable direction; for it the loss is linear in a.

    Args:
        density: ``(h, w)`` predicted map.
        target: ``(h, w)`` map, not 0 everywhere.

    Returns:
        The loss, a scalar.
    """
    norm = torch.linalg.vector_norm(target)
    size = torch.maximum(torch.linalg.vector_norm(density), NORM_FLOOR * norm)
    return 1 - (density * target).sum() / (size * norm)


@MODELS.register_module()
class KDMGLoss(DensityLoss):
    r"""Kernel-based density map generation: the counter learns its target together with it.

    **Experimental**: a reading of the paper that is not compared with a published program. From
    the paper: a generator that is trained with the counter, that gives each point its own kernel of
    free shape and mass 1, and the squared error plus a cosine term. The rest is our reading: what
    the network f sees (the points of the neighbourhood, not the image) and its form, the Gaussian G
    and the divergence from it, the sum over the cells in the squared error, the border rules, and
    all default weights.

    With a the predicted density, and the map T and the kernels K of :class:`KernelGenerator`:

    .. math::
        L = \| a - T \|^2 + \lambda_{cos} \big( 1 - \cos(a, T) \big)
            + \lambda_K \sum_j \mathrm{KL}(K_j \,\|\, G_j)

    Counter and generator both follow the gradient of L. The squared error alone would make the
    kernels flat, since a flat map is easy to predict; the last term holds each near the peak G. In
    an image without points the squared error is all there is.

    The parameters of the generator are parameters of the counter that holds this loss: its
    optimizer trains them, and a checkpoint keeps them. Prediction does not use them.

    The terms are ``loss_density``, ``loss_cosine`` and ``loss_kernel``.

    Args:
        kernel_size: Side of the kernels in cells, odd. Defaults to 15.
        sigma: Standard deviation of the Gaussian G in input pixels. Defaults to 4.0.
        hidden_channels: Hidden units of the network f. Defaults to 64.
        cosine_weight: Weight of the cosine term, not negative. Defaults to 1.0.
        kernel_weight: Weight of the divergence, not negative. Defaults to 0.01.

    Raises:
        ValueError: A weight is negative; otherwise as for :class:`KernelGenerator`.

    Examples:
        Kernels of one cell: the target is one person in the first.

        >>> density = torch.tensor([[[[2.0, 0.0]]]])
        >>> terms = KDMGLoss(kernel_size=1)(density, [torch.tensor([[3.5, 3.5]])], stride=8)
        >>> terms['loss_density'].item(), terms['loss_cosine'].item()
        (1.0, 0.0)
    """

    def __init__(
        self,
        kernel_size: int = 15,
        sigma: float = 4.0,
        hidden_channels: int = 64,
        cosine_weight: float = 1.0,
        kernel_weight: float = 0.01,
    ) -> None:
        super().__init__()
        check_not_negative(self, cosine_weight=cosine_weight, kernel_weight=kernel_weight)
        self.generator = KernelGenerator(kernel_size, sigma, hidden_channels)
        self.cosine_weight = cosine_weight
        self.kernel_weight = kernel_weight

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms of one image; see the base class."""
        target, divergence = self.generator(points, density.shape, stride)
        # the target of no points is 0, and so is this product
        cosine = cosine_loss(density, target) if len(points) else (density * target).sum()
        return dict(
            loss_density=(density - target).square().sum(),
            loss_cosine=self.cosine_weight * cosine,
            loss_kernel=self.kernel_weight * divergence.sum(),
        )
