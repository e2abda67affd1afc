"""What losses ask of the outputs of a network."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def take_output(outputs: Mapping[str, Any], name: str, loss: object, hint: str = '') -> Any:
    """Take an output that a loss needs.

    Args:
        outputs: Named outputs of the network.
        name: Name of the output.
        loss: The loss; the message of an error names its class.
        hint: What to do about an output that is not there, appended to the message. Defaults to
            nothing.

    Returns:
        The output.

    Raises:
        KeyError: The network does not give it.
    """
    if name not in outputs:
        end = f'; {hint}' if hint else ''
        raise KeyError(
            f'{type(loss).__name__} needs the output {name!r}, which is none of the outputs '
            f'{list(outputs)}{end}'
        )
    return outputs[name]


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
