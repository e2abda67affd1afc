"""Focal inverse distance transform map loss (Liang, Xu, Zhu and Zhou: *Focal Inverse Distance
Transform Maps for Crowd Localization*, IEEE Transactions on Multimedia 2022)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.cells import cell_position
from mmcrowd.ops.checks import check_choice, check_not_negative, check_positive
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss

REDUCTIONS = ('mean', 'sum')
WINDOW = 11  # cells; of the SSIM, with SIGMA the standard deviation of its Gaussian
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2  # (K1 * L)^2 and (K2 * L)^2; the largest value L of a FIDT map is 1


def fidt_map(
    distance: Tensor,
    alpha: float = 0.02,
    beta: float = 0.75,
    c: float = 1.0,
    tail: float = 0.0,
) -> Tensor:
    r"""Focal inverse distance transform map.

    .. math:: I = \frac{1}{P^{\alpha P + \beta} + C}

    with P the distance to the nearest point: 1 / C on a point, falling with the distance, and 0 in
    an image without points, where P is infinite.

    Args:
        distance: Of any shape, distance from each cell to the nearest point in input
            pixels, such as the ``distance`` of a :class:`Partition`.
        alpha: Positive; how fast the map fades. Defaults to 0.02.
        beta: Positive exponent next to the point. Defaults to 0.75.
        c: Positive; keeps the value at a point finite. Defaults to 1.0.
        tail: Values below this become 0; the published program has 0.01, which is 30 pixels
            from the point. Defaults to 0.0.

    Returns:
        The map, of the shape and dtype of the distance.
    """
    values = 1 / (distance ** (alpha * distance + beta) + c)
    return values.masked_fill(values < tail, 0) if tail > 0 else values


def head_pixels(
    points: Tensor, size: Sequence[int], first: int = 0, drop_shared: bool = False
) -> Tensor:
    """Pixels on which the published program draws the points: the integer part of the coordinates.

    Points beyond the last row or column are left out. In its maps for ShanghaiTech and UCF-QNRF row
    and column 0 count as row and column 1, and in all its maps two points on one pixel extinguish
    each other (its 8-bit image wraps around).

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width in input pixels.
        first: First row and column that is drawn on; a point before it is moved there.
            Defaults to 0; the published program has 1 for ShanghaiTech and UCF-QNRF.
        drop_shared: Whether to leave out all points of a pixel that has several, as the
            published program does. Defaults to False.

    Returns:
        ``(k, 2)`` whole pixels ``(x, y)``, k <= m, of the dtype of the points.
    """
    pixels = points.floor().clamp(min=first)
    pixels = pixels[(pixels < pixels.new_tensor(tuple(size)[::-1])).all(1)]
    if drop_shared:
        pixels, number = pixels.unique(dim=0, return_counts=True)
        pixels = pixels[number == 1]
    return pixels


def point_patches(maps: Tensor, points: Tensor, stride: int, side: int) -> Tensor:
    """Cut out a square patch around each point; cells outside of the map are 0.

    The patch is centred on the point to within half a cell. Memory is ``c * m * side^2``.

    Args:
        maps: ``(c, h, w)`` maps.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        side: Height and width of the patch in cells.

    Returns:
        ``(c, m, side, side)`` patches.
    """
    _, h, w = maps.shape
    # First cell in the map padded by one patch: from so far outside, all the patch is padding.
    first = (cell_position(points, stride) - side / 2).ceil()
    left = first[:, 0].clamp(-side, w).long() + side
    top = first[:, 1].clamp(-side, h).long() + side
    step = torch.arange(side, device=maps.device)
    index = (top[:, None] + step)[:, :, None] * (w + 2 * side) + (left[:, None] + step)[:, None]
    padded = F.pad(maps, (side, side, side, side)).flatten(1)
    return padded.index_select(1, index.flatten()).view(len(maps), *index.shape)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    r"""Structural similarity at every cell of square patches, each for itself.

    .. math::
        \frac{(2 \mu_a \mu_b + C_1)(2 \sigma_{ab} + C_2)}
            {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)}

    (Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 2004) with moments
    under an 11 x 11 Gaussian window of sigma 1.5 cells, that meets zeros outside of the patch;
    ``K1 = 0.01``, ``K2 = 0.03`` and a value range of 1.

    Args:
        a, b: ``(m, side, side)`` patches, float32 or float64.

    Returns:
        ``(m, side, side)``, 1 where the patches agree.
    """
    reach = torch.arange(-(WINDOW // 2), WINDOW // 2 + 1, device=a.device, dtype=a.dtype)
    cell = torch.arange(a.shape[-1], device=a.device, dtype=a.dtype)
    offset = cell[:, None] - cell
    blur = torch.exp(-((offset / SIGMA) ** 2) / 2).masked_fill(offset.abs() > WINDOW // 2, 0)
    blur = blur / torch.exp(-((reach / SIGMA) ** 2) / 2).sum()

    def moments(values: Tensor) -> tuple[Tensor, Tensor]:
        """Square of the local mean, and local variance."""
        square = (blur @ values @ blur) ** 2
        return square, (blur @ values**2 @ blur - square).clamp(min=0)

    # 4 ab = (a + b)^2 - (a - b)^2 and 2 a^2 + 2 b^2 = (a + b)^2 + (a - b)^2. So written, rounding
    # cannot take either factor out of [-1, 1], and equal patches get exactly 1.
    mean_sum, var_sum = moments(a + b)
    mean_diff, var_diff = moments(a - b)
    luminance = (mean_sum - mean_diff + 2 * C1) / (mean_sum + mean_diff + 2 * C1)
    structure = (var_sum - var_diff + 2 * C2) / (var_sum + var_diff + 2 * C2)
    return luminance * structure


def independent_ssim_loss(
    predicted: Tensor, target: Tensor, points: Tensor, stride: int, patch_size: int = 30
) -> Tensor:
    r"""Independent SSIM loss: one minus the SSIM of a patch around each point, averaged.

    The SSIM of a patch is the mean over those of its cells that lie in the map. A point whose patch
    has none does not count; without any point the loss is 0.

    Args:
        predicted: ``(h, w)`` map.
        target: ``(h, w)`` map.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        stride: Input pixels per cell.
        patch_size: Side of the patch in input pixels, rounded to whole cells. Defaults to 30.

    Returns:
        The loss, a scalar.
    """
    side = max(1, round(patch_size / stride))
    maps = torch.stack((predicted, target, torch.ones_like(target)))
    predicted, target, inside = point_patches(maps, points, stride, side)
    cells = inside.sum((1, 2))
    loss = 1 - (ssim(predicted, target) * inside).sum((1, 2)) / cells.clamp(min=1)
    counted = (cells > 0).to(loss)
    return (loss * counted).sum() / counted.sum().clamp(min=1)


@MODELS.register_module()
class FIDTMLoss(DensityLoss):
    """Focal inverse distance transform map loss: squared error to :func:`fidt_map` plus
    :func:`independent_ssim_loss`.

    **The map is not a density.** A counter trained with this loss predicts a FIDT map, with a peak
    of about 1 at each person, and its sum is not the count. The counter needs a localizer
    that finds the local maxima, and ``count_from='points'``: their number is the count.

    The paper predicts the map at stride 1. At a larger stride a person falls between the centres of
    cells, and the peak is lower: at stride 2 it may be 0.57.

    The published program trains with the sum of the squared errors of the whole batch alone, on
    maps of :func:`head_pixels` without their tail: ``FIDTMLoss(reduction='sum', mse_weight=N,
    ssim_weight=0, tail=0.01, to_pixels=True, first_pixel=1, drop_shared=True)`` for N images in a
    batch. To Adam the factor N makes no difference, but for weight decay.

    Args:
        alpha: See :func:`fidt_map`. Defaults to 0.02.
        beta: See :func:`fidt_map`. Defaults to 0.75.
        c: See :func:`fidt_map`. Defaults to 1.0.
        patch_size: Side of the SSIM patches in input pixels. Defaults to 30.
        reduction: Squared error of an image: ``'mean'`` or ``'sum'`` over its cells. Far from
            all points nothing else acts, and in the mean one cell counts little beside the SSIM.
            Defaults to ``'mean'``.
        mse_weight: Weight of the squared error. Defaults to 1.0.
        ssim_weight: Weight of the SSIM term; with 0 it is not computed. Defaults to 1.0.
        tail: See :func:`fidt_map`. Defaults to 0.0.
        to_pixels: Whether the target is drawn on whole pixels, see :func:`head_pixels`. The
            partition is then computed here, whatever the loader brings: a host step. Defaults to
            False.
        first_pixel: ``first`` of :func:`head_pixels`. Defaults to 0.
        drop_shared: See :func:`head_pixels`. Defaults to False.
        source: Output of the network that is the map. Defaults to ``'density'``, for a
            density head; ``'map'`` for :class:`~mmcrowd.models.heads.MapHead`.

    Raises:
        ValueError: Unknown reduction; alpha, beta, c or patch_size is not positive; a weight or
            tail is negative, or both weights are 0; first_pixel or drop_shared without to_pixels.

    Examples:
        The target map costs nothing.

        >>> distance = torch.tensor([[[[1.0, 0.0, 1.0]]]])
        >>> FIDTMLoss()(fidt_map(distance), [torch.tensor([[1.0, 0.0]])], stride=1)
        {'loss_mse': tensor(0.), 'loss_ssim': tensor(0.)}
    """

    needs_partition = True

    def __init__(
        self,
        alpha: float = 0.02,
        beta: float = 0.75,
        c: float = 1.0,
        patch_size: int = 30,
        reduction: str = 'mean',
        mse_weight: float = 1.0,
        ssim_weight: float = 1.0,
        tail: float = 0.0,
        to_pixels: bool = False,
        first_pixel: int = 0,
        drop_shared: bool = False,
        source: str = 'density',
    ) -> None:
        super().__init__()
        check_choice(self, REDUCTIONS, reduction=reduction)
        check_positive(self, alpha=alpha, beta=beta, c=c, patch_size=patch_size)
        check_not_negative(self, mse_weight=mse_weight, ssim_weight=ssim_weight, tail=tail)
        if mse_weight == ssim_weight == 0:
            raise ValueError('FIDTMLoss: mse_weight and ssim_weight must not both be 0')
        if (first_pixel or drop_shared) and not to_pixels:
            raise ValueError(
                f'FIDTMLoss: {first_pixel=} and {drop_shared=} need to_pixels=True, but got False'
            )
        self.alpha = alpha
        self.beta = beta
        self.c = c
        self.patch_size = patch_size
        self.reduction = reduction
        self.mse_weight = mse_weight
        self.ssim_weight = ssim_weight
        self.tail = tail
        self.to_pixels = to_pixels
        self.host_step = to_pixels
        self.first_pixel = first_pixel
        self.drop_shared = drop_shared
        self.source = source

    def forward(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition | None = None,
        image_sides: list[float] | Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch, see :meth:`DensityLoss.forward`."""
        if self.to_pixels:
            size = tuple(side * stride for side in density.shape[2:])
            points = [head_pixels(p, size, self.first_pixel, self.drop_shared) for p in points]
            partition = None  # the loader's knows the heads as they are annotated
        return super().forward(density, points, stride, partition, image_sides)

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms of one image, ``loss_mse`` and ``loss_ssim`` if its weight is not 0; see the base
        class.

        Args:
            density: ``(h, w)`` predicted FIDT map.
            points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
            stride: Input pixels per cell.
            nearest: Index and distance ``(h, w)`` of every cell's nearest point.
        """
        target = fidt_map(nearest.distance.to(density), self.alpha, self.beta, self.c, self.tail)
        terms = {}
        if self.mse_weight:
            error = F.mse_loss(density, target, reduction=self.reduction)
            terms['loss_mse'] = self.mse_weight * error
        if self.ssim_weight:
            error = independent_ssim_loss(density, target, points, stride, self.patch_size)
            terms['loss_ssim'] = self.ssim_weight * error
        return terms
