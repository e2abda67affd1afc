"""Numbers that are written as text in files, by one strict rule.

Python's ``int`` and ``float`` and NumPy also read ``1_2`` as 12, digits of other scripts, blanks,
``nan`` and ``inf``: a typo would become a wrong number instead of an error.
"""

import math
import re
from collections.abc import Sequence

import numpy as np

_INTEGER = re.compile(r'-?[0-9]+')
_NUMBER = re.compile(r'-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?')


def is_integer(text: str) -> bool:
    """Whether the text is ASCII digits, perhaps behind a minus, and nothing else.

    Example:
        >>> [is_integer(text) for text in ('12', '-3', '+3', '1_2', '1e5', '1.0', ' 1')]
        [True, True, False, False, False, False, False]
    """
    return _INTEGER.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Whether the text is a finite decimal number, perhaps with an exponent, and nothing else.

    Example:
        >>> [is_number(text) for text in ('12', '-.5', '1e5', '+3', '1_2', 'nan', '1e999', '')]
        [True, True, True, False, False, False, False, False]
    """
    return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def parse_integer(text: str) -> int:
    """The number that the text is; a ``ValueError`` unless :func:`is_integer`."""
    if not is_integer(text):
        raise ValueError(f'{text!r} is no whole number')
    return int(text)


def parse_number(text: str) -> int | float:
    """The number that the text is, ``int`` if it is written as one.

    Raises:
        ValueError: Unless :func:`is_number`.
    """
    if not is_number(text):
        raise ValueError(f'{text!r} is no finite number')
    return int(text) if is_integer(text) else float(text)


def parse_numbers(texts: Sequence[str]) -> np.ndarray:
    """The numbers that many texts are, ``(n,)`` float64; whole ones are read the fastest.

    Raises:
        ValueError: Unless :func:`is_number` of each; it names the first.

    Example:
        >>> parse_numbers(['1', '-.5'])
        array([ 1. , -0.5])
    """
    joined = ''.join(texts)
    # Of digits alone any text is a number, unless it is empty or too long to be finite.
    if (joined.isascii() and joined.isdigit() and all(texts)) or all(map(is_number, texts)):
        numbers = np.array(texts, np.float64)
        if np.isfinite(numbers).all():
            return numbers
    bad = next(text for text in texts if not is_number(text))
    raise ValueError(f'{bad!r} is no finite number')
