"""Checks of hyperparameters; every message names the class, the argument and the value."""

from collections.abc import Iterable


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
