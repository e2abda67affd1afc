"""Checks of settings, whose messages name the class, the argument and the value."""

from collections.abc import Iterable
from numbers import Integral


def check_positive(owner: object, /, **values: float) -> None:
    """See that all values are positive.

    Args:
        owner: The object that has the settings; its class is named in the message.
        **values: Settings by name.

    Raises:
        ValueError: One is not, or is NaN.
    """
    for key, value in values.items():
        if not value > 0:
            raise ValueError(f'{type(owner).__name__}: {key} must be positive, but got {value}')


def check_not_negative(owner: object, /, **values: float) -> None:
    """See that no value is negative, as :func:`check_positive`."""
    for key, value in values.items():
        if not value >= 0:
            raise ValueError(f'{type(owner).__name__}: {key} must not be negative, but got {value}')


def check_at_least(owner: object, least: int, /, **values: int) -> None:
    """See that all values are integers and none is less than ``least``, as
    :func:`check_positive`."""
    for key, value in values.items():
        if not isinstance(value, Integral):
            raise ValueError(f'{type(owner).__name__}: {key} must be an integer, but got {value!r}')
        if value < least:
            raise ValueError(
                f'{type(owner).__name__}: {key} must be at least {least}, but got {value}'
            )


def check_choice(owner: object, known: Iterable[str], /, **values: str) -> None:
    """See that all values are among the known ones, as :func:`check_positive`."""
    known = tuple(known)
    for key, value in values.items():
        if value not in known:
            raise ValueError(
                f'{type(owner).__name__}: {key} must be one of {known}, but got {value!r}'
            )
