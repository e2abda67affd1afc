"""What losses ask of the outputs of a network."""

import torch
from torch import Tensor


def may_overflow(*outputs: Tensor) -> bool:
    """Whether outputs of a network may be infinite without an error of anyone: under autocast, or
    in float16. A gradient scaler skips such a step if its loss is NaN."""
    half = any(output.dtype == torch.float16 for output in outputs)
    return half or _under_autocast(outputs[0].device.type)


def _under_autocast(device_type: str) -> bool:
    """Whether operations on this kind of device run under autocast now."""
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # torch before 2.4 has a function without arguments for each kind
        cpu = device_type == 'cpu'
        return torch.is_autocast_cpu_enabled() if cpu else torch.is_autocast_enabled()
