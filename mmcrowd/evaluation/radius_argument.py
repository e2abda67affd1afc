"""Radii of the matching as they are written on a command line."""

import argparse

from mmcrowd.fileio.numerals import parse_number
from mmcrowd.ops.heads import HEAD_RADII


def parse_radius(text: str) -> float | str:
    """Radius as it is written on a command line: pixels, or one of :data:`HEAD_RADII`.

    Args:
        text: What was written; made to be the ``type`` of an argument of :mod:`argparse`.

    Raises:
        argparse.ArgumentTypeError: It is neither, or the number is written in a form that
            :mod:`mmcrowd.fileio.numerals` refuses, such as ``1_2``.

    Examples:
        >>> parse_radius('8'), parse_radius('2.5'), parse_radius('sigma_l')
        (8, 2.5, 'sigma_l')
    """
    if text in HEAD_RADII:
        return text
    try:
        value = parse_number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r}, expected pixels or one of {", ".join(HEAD_RADII)}'
        ) from None
    return int(value) if value == int(value) else value
