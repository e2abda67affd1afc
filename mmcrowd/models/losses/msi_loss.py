"""Masked selection and inheritance loss (Han, Bai, Liu and Ouyang: *STEERER: Resolving Scale
Variations for Counting and Localization via Selective Inheritance Learning*, ICCV 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.checks import check_positive
from mmcrowd.ops.grid import points_per_cell
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .checks import take_output
from .output_loss import OutputLoss


def dot_map(
    points: Tensor, size: Sequence[int], stride: int, published_cells: bool = False
) -> Tensor:
    """Number of points in each cell; one outside of the frame counts in the nearest border cell.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.
        published_cells: Whether a point counts in cell ``round(x / stride)`` as in the published
            program, as if that cell lay around the pixel ``x = cell * stride``. Halves go to the
            even number. Defaults to False, the cell that the point lies in.

    Returns:
        ``(h, w)``, of the dtype of the points.

    Examples:
        >>> point = torch.tensor([[3.0, 0.0]])
        >>> dot_map(point, (1, 3), 4), dot_map(point, (1, 3), 4, published_cells=True)
        (tensor([[1., 0., 0.]]), tensor([[0., 1., 0.]]))
    """
    if published_cells:
        return points_per_cell((points / stride).round(), size, 1)
    return points_per_cell(points, size, stride)


def gaussian_blur(maps: Tensor, sigma: float, kernel_size: int) -> Tensor:
    """Convolve with a square Gaussian window of the sum 1; what it puts beyond the border is lost.

    Args:
        maps: ``(N, 1, h, w)``.
        sigma: Standard deviation in cells.
        kernel_size: Side of the window in cells, odd.

    Returns:
        ``(N, 1, h, w)``.
    """
    reach = torch.arange(kernel_size, device=maps.device, dtype=maps.dtype) - kernel_size // 2
    window = torch.exp(-(reach**2) / (2 * sigma**2))
    window = window / window.sum()
    half = kernel_size // 2
    maps = F.conv2d(maps, window.view(1, 1, -1, 1), padding=(half, 0))
    return F.conv2d(maps, window.view(1, 1, 1, -1), padding=(0, half))


def patch_scores(densities: Sequence[Tensor], targets: Sequence[Tensor], patch: int) -> Tensor:
    """Error of each scale in each patch of the image, relative and absolute.

    It is the mean squared error, plus the sum of the squared errors divided by the sum of the
    target. What lacks to whole patches at the right and the lower edge counts as without error.

    Args:
        densities: For each scale ``(N, 1, h_i, w_i)``, each side half of the one before.
        targets: Of the same shapes.
        patch: Side of a patch in cells of the first scale.

    Returns:
        ``(N, S, rows, columns)``.
    """
    scores = []
    for i, (density, target) in enumerate(zip(densities, targets, strict=True)):
        cells = patch >> i

        def mean(maps: Tensor, cells: int = cells) -> Tensor:
            bottom, right = (-side % cells for side in maps.shape[2:])
            return F.avg_pool2d(F.pad(maps, (0, right, 0, bottom)), cells)

        error = mean((density - target).square())
        scores.append(error + error * cells**2 / (mean(target) * cells**2 + 1e-10))
    return torch.cat(scores, 1)


def inherited(best: Tensor, scale: int, size: Sequence[int], cells: int) -> Tensor:
    """Where a scale is supervised: in the patches whose best scale is as coarse or coarser.

    Args:
        best: ``(N, rows, columns)`` best scale of each patch.
        scale: The scale, 0 for the finest.
        size: Height and width of its map in cells.
        cells: Side of a patch in its cells.

    Returns:
        ``(N, 1, h, w)`` bool.
    """
    mask = (best >= scale).repeat_interleave(cells, 1).repeat_interleave(cells, 2)
    return mask[:, None, : size[0], : size[1]]


@MODELS.register_module()
class MSILoss(OutputLoss):
    r"""Squared errors of the densities of several scales, each in the patches that are its own.

    The target of a scale are the points in its cells, blurred by a Gaussian of the same number of
    cells at every scale. In each patch of the image the best scale is the one with the smallest
    :func:`patch_scores`. The finest scale learns everywhere, a coarser one where the best scale is
    as coarse or coarser than itself. With the target t and the mask m of a scale i, the error is
    the mean over all cells, those outside of the mask too, and the weight w,

    .. math:: L_i = w_i \; \mathrm{mean}\left( m \odot (c a - c t)^2 \right)

    The terms are ``loss_density_{stride}`` of each scale.

    Args:
        weights: Weight of each scale, the finest first. Defaults to (1, 1/2, 1/4, 1/8).
        sigma: Standard deviation of the Gaussian in cells of every scale. Defaults to 4.0.
        kernel_size: Side of its window in cells, odd. The published configs have 11 for
            ShanghaiTech A. Defaults to 15.
        patch: Side of a patch in input pixels. Defaults to 256.
        factor: The factor c of the densities. Defaults to 100.0.
        published_cells: See :func:`dot_map`. Defaults to False.
        source: Name of the output with the densities, the finest first. Defaults to
            ``'densities'``.

    Raises:
        ValueError: An argument is not positive, or ``kernel_size`` is even.

    Examples:
        One person in a density of 0.5 there: the coarse scale misses it by more and learns nothing.

        >>> from mmengine.structures import InstanceData
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.tensor([[1.0, 1.0]])))
        >>> fine, coarse = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)
        >>> fine[0, 0, 1, 1] = 0.5
        >>> loss = MSILoss(weights=(1.0, 0.5), sigma=0.1, patch=4, factor=1.0)
        >>> loss.loss(dict(densities=[fine, coarse]), [sample], stride=1)
        {'loss_density_1': tensor(0.0156), 'loss_density_2': tensor(0.)}
    """

    def __init__(
        self,
        weights: Sequence[float] = (1.0, 0.5, 0.25, 0.125),
        sigma: float = 4.0,
        kernel_size: int = 15,
        patch: int = 256,
        factor: float = 100.0,
        published_cells: bool = False,
        source: str = 'densities',
    ) -> None:
        super().__init__()
        check_positive(self, sigma=sigma, kernel_size=kernel_size, patch=patch, factor=factor)
        if kernel_size % 2 == 0:
            raise ValueError(f'MSILoss: kernel_size must be odd, but got {kernel_size}')
        self.weights = tuple(weights)
        self.sigma = sigma
        self.kernel_size = kernel_size
        self.patch = patch
        self.factor = factor
        self.published_cells = published_cells
        self.source = source

    def loss(
        self, outputs: dict[str, Any], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the term of each scale, see :class:`OutputLoss`.

        Raises:
            KeyError: There is no output ``source``.
            ValueError: There is another number of densities than weights, a density is not half of
                the one before, or the cells of the coarsest do not divide the patch.
        """
        densities = take_output(outputs, self.source, self)
        densities = [self.factor * at_least_float32(density) for density in densities]
        self._check(densities, stride)
        points = [sample.gt_instances.points.to(densities[0]) for sample in data_samples]
        with torch.autocast(densities[0].device.type, enabled=False):
            targets = self.targets(points, [density.shape[2:] for density in densities], stride)
            patch = self.patch // stride
            with torch.no_grad():
                best = patch_scores(densities, targets, patch).argmin(1)
            terms = {}
            for i, (density, target) in enumerate(zip(densities, targets, strict=True)):
                mask = inherited(best, i, density.shape[2:], patch >> i)
                error = ((density - target) * mask).square().mean()
                terms[f'loss_density_{stride << i}'] = self.weights[i] * error
        return terms

    @torch.no_grad()
    def targets(
        self, points: list[Tensor], sizes: Sequence[Sequence[int]], stride: int
    ) -> list[Tensor]:
        """Densities of the points, times the factor.

        Args:
            points: For each image ``(m, 2)`` positions ``(x, y)`` in input pixels.
            sizes: For each scale height and width in cells.
            stride: Input pixels per cell of the first scale.

        Returns:
            For each scale ``(N, 1, h, w)``.
        """
        targets = []
        for i, size in enumerate(sizes):
            dots = [dot_map(p, size, stride << i, self.published_cells) for p in points]
            blurred = gaussian_blur(torch.stack(dots)[:, None], self.sigma, self.kernel_size)
            targets.append(self.factor * blurred)
        return targets

    def _check(self, densities: Sequence[Tensor], stride: int) -> None:
        coarsest = stride << (len(densities) - 1)
        if len(densities) != len(self.weights) or self.patch % coarsest:
            raise ValueError(
                f'MSILoss: {len(self.weights)} weights and patch={self.patch}, but the head has '
                f'{len(densities)} densities, the coarsest with {coarsest} pixels per cell; '
                'expected as many weights and a multiple of that'
            )
        height, width = densities[0].shape[2:]
        for i, density in enumerate(densities):
            if (height, width) != tuple(side << i for side in density.shape[2:]):
                raise ValueError(
                    f'MSILoss: density {i} has {tuple(density.shape[2:])} cells, expected half of '
                    f'the sides of the one before; the first has {(height, width)}'
                )
