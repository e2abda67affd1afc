"""How the page writes numbers."""

import math

NOTHING = '–'


def fixed(value: float | None, digits: int) -> str:
    """With these decimals; a dash for what is not there."""
    return NOTHING if value is None or not math.isfinite(value) else f'{value:.{digits}f}'


def signed(value: float | None, digits: int, unit: str = '') -> str:
    """With a sign, these decimals and a unit; a dash for what is not there."""
    if value is None:
        return NOTHING
    return f'{rounded(value, digits):+,.{digits}f}{unit}'.replace('-', '−')


def number(value: float | None) -> str:
    """A count, without decimals where it is whole; a dash for what is not there."""
    if value is None:
        return NOTHING
    digits = int(value != int(value))
    return f'{rounded(value, digits):,.{digits}f}'


def rounded(value: float, digits: int) -> float:
    """The value, and 0 without a sign where nothing else is left of it."""
    return round(value, digits) + 0.0
