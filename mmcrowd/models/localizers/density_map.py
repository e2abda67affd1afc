"""What every localizer asks of a density map."""

import torch
from torch import Tensor


def check_density(density: Tensor, stride: int, owner: str) -> None:
    """Refuse what is no density map.

    Args:
        density (Tensor): ``(h, w)`` persons per cell, of a floating type, at least one cell.
        stride (int): Input pixels per cell, at least 1.
        owner (str): Who asks, for the message.

    Raises:
        ValueError: One of these does not hold, or a value is NaN or infinite.
    """
    if density.ndim != 2 or not density.numel() or not density.is_floating_point():
        raise ValueError(
            f'{owner}: density must be (h, w) of a floating type with at least one cell, but got '
            f'{tuple(density.shape)} of {density.dtype}'
        )
    if stride != int(stride) or stride < 1:
        raise ValueError(f'{owner}: stride must be a positive integer, but got {stride}')
    wrong = int((~torch.isfinite(density)).sum())
    if wrong:
        raise ValueError(
            f'{owner}: density must be finite, but {wrong} of {density.numel()} cells are not'
        )
