"""Enough digits for positions, sums and logarithms."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Values in float32 if their type is shorter, otherwise as they are.

    Examples:
        >>> [at_least_float32(torch.ones(1, dtype=t)).dtype for t in (torch.half, torch.double)]
        [torch.float32, torch.float64]
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
