"""Checks of hyperparameters, whose messages name the class, the argument and the value, and of what
a network may give."""

from collections.abc import Iterable

import torch
from torch import Tensor


def check_positive(owner: object, **values: float) -> None:
    """See that all values are positive.

    Args:
        owner: The object that has the hyperparameters; its class is named in the message.
        **values: Hyperparameters by name.

    Raises:
        ValueError: One is not, or is NaN.
    """
    for key, value in values.items():
        if not value > 0:
            raise ValueError(f'{type(owner).__name__}: {key} must be positive, but got {value}')


def check_not_negative(owner: object, **values: float) -> None:
    """See that no value is negative, as :func:`check_positive`."""
    for key, value in values.items():
        if not value >= 0:
            raise ValueError(f'{type(owner).__name__}: {key} must not be negative, but got {value}')


def check_at_least(owner: object, least: int, **values: int) -> None:
    """See that no value is less than ``least``, as :func:`check_positive`."""
    for key, value in values.items():
        if not value >= least:
            raise ValueError(
                f'{type(owner).__name__}: {key} must be at least {least}, but got {value}'
            )


def check_choice(owner: object, known: Iterable[str], **values: str) -> None:
    """See that all values are among the known ones, as :func:`check_positive`."""
    known = tuple(known)
    for key, value in values.items():
        if value not in known:
            raise ValueError(
                f'{type(owner).__name__}: {key} must be one of {known}, but got {value!r}'
            )


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
