"""Smoothing of maps."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 4.0  # standard deviations, beyond which the kernel ends


def gaussian_blur(values: Tensor, sigma: float) -> Tensor:
    """Blur a map with a Gaussian whose weights add up to 1; beyond the border everything is 0.

    Args:
        values: ``(h, w)``, of a floating type.
        sigma: Standard deviation in cells, positive.

    Returns:
        ``(h, w)``.

    Examples:
        >>> gaussian_blur(torch.tensor([[0.0, 1.0, 0.0]]), 0.5)
        tensor([[0.0837, 0.6187, 0.0837]])
    """
    half = max(math.ceil(REACH * sigma), 1)
    offset = torch.arange(-half, half + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    maps = F.conv2d(values[None, None], kernel.view(1, 1, -1, 1), padding=(half, 0))
    return F.conv2d(maps, kernel.view(1, 1, 1, -1), padding=(0, half))[0, 0]
