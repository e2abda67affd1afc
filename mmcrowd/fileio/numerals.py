"""Numbers that are written as text in files, by one strict rule.

Python's ``int`` and ``float`` and NumPy also read ``1_2`` as 12, digits of other scripts, blanks,
``nan`` and ``inf``: a typo would become a wrong number instead of an error.
"""

import math
import re
from collections.abc import Sequence

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


def find_no_number(texts: Sequence[str]) -> str | None:
    """The first text that :func:`is_number` refuses, None if there is none.

    Example:
        >>> find_no_number(['1', '-.5', '1_2', 'nan']), find_no_number(['1', '2'])
        ('1_2', None)
    """
    joined = ''.join(texts)
    # Of digits alone any text is a number, unless it is empty or too long to be finite.
    digits = joined.isascii() and joined.isdigit()
    if digits and '' not in texts and max(map(len, texts)) < 300:
        return None
    return next((text for text in texts if not is_number(text)), None)


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
