"""What losses of the counts of blocks have in common: the counts, and terms of EBC and ZIP."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.grid import points_per_cell

from .dm_count_loss import MASS_FLOOR, dm_count_loss

OT_REG, OT_ITERATIONS = 10.0, 100  # of the transport term, as DM-Count has them


def block_counts(
    points: list[Tensor], size: Sequence[int], stride: int, one_per_pixel: bool = False
) -> Tensor:
    """Number of points in each block; a point outside the frame counts in the nearest border block.

    Args:
        points: For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        size: Height and width ``(h, w)`` in blocks.
        stride: Side of a block in input pixels.
        one_per_pixel: Whether points on one pixel count once, as in the published programs.
            Defaults to False.

    Returns:
        ``(N, 1, h, w)``, of the dtype of the points.
    """
    if one_per_pixel:
        points = [_pixels(p, size, stride) for p in points]
    return torch.stack([points_per_cell(p, size, stride) for p in points])[:, None]


def _pixels(points: Tensor, size: Sequence[int], stride: int) -> Tensor:
    """The pixels of the frame that hold points, each once."""
    last = points.new_tensor((size[1] * stride - 1, size[0] * stride - 1))
    return (points + 0.5).floor().clamp(min=0).minimum(last).unique(dim=0)


def bin_cross_entropy(bin_logits: Tensor, counts: Tensor, bins: Tensor) -> Tensor:
    """Cross-entropy of the bins of block counts; blocks below the first bin have no part in it.

    Args:
        bin_logits: ``(N, K, h, w)``.
        counts: ``(N, 1, h, w)``, whole numbers.
        bins: ``(K,)`` lowest count of each bin, ascending; the last one has no upper end.

    Returns:
        ``(N,)``, the sum over the blocks of each image.
    """
    counts = counts.squeeze(1)
    target = torch.bucketize(counts, bins.to(counts), right=True) - 1
    error = F.cross_entropy(bin_logits, target.clamp(min=0), reduction='none')
    return torch.where(target >= 0, error, 0).sum((1, 2))


def transport(density: Tensor, points: list[Tensor], stride: int) -> Tensor:
    """Transport term of :func:`~mmcrowd.models.losses.dm_count_loss.dm_count_loss`.

    Args:
        density: ``(N, 1, h, w)`` persons per block.
        points: For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        stride: Side of a block in input pixels.

    Returns:
        ``(N,)``.
    """
    images = zip(density.squeeze(1), points, strict=True)
    return torch.stack(
        [dm_count_loss(*image, stride, OT_REG, OT_ITERATIONS)[1] for image in images]
    )


def total_variation(density: Tensor, counts: Tensor, points: list[Tensor]) -> Tensor:
    """Total variation term of DM-Count with given block counts.

    It is the third term of :func:`~mmcrowd.models.losses.dm_count_loss.dm_count_loss`, which counts
    every point.

    Args:
        density: ``(N, 1, h, w)`` persons per block.
        counts: ``(N, 1, h, w)`` points per block.
        points: For each image its points; only their number is used.

    Returns:
        ``(N,)``.
    """
    total = density.sum((1, 2, 3), keepdim=True)
    number = torch.tensor([len(p) for p in points]).to(density, non_blocking=True)
    scale = number.view(-1, 1, 1, 1) * total / (total.square() + MASS_FLOOR**2)
    variation = (scale * density - counts).abs().sum((1, 2, 3))
    return torch.where(total.flatten() > 0, variation, 0)
