"""Enough digits for positions, sums and logarithms, and where fewer make a network faster."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Values in float32 if their type is shorter, otherwise as they are.

    Examples:
        >>> [at_least_float32(torch.ones(1, dtype=t)).dtype for t in (torch.half, torch.double)]
        [torch.float32, torch.float64]
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


@torch.compiler.assume_constant_result  # what it asks cannot be compiled
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for products of bfloat16 numbers.

    On processors without them PyTorch converts each number, and a training step with bfloat16 took
    five times as long as one with float32 (EfficientNet-Lite0, AVX2).

    Args:
        device: For ``cpu`` the processor of this machine is asked (AVX512-BF16 or AMX), for
            ``cuda`` the given GPU (Ampere or later). Others are taken to have none.

    Examples:
        >>> multiplies_bfloat16(torch.device('meta'))
        False
    """
    if device.type == 'cpu':
        # PyTorch has no public name for what it asks itself.
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return False
