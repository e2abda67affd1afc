"""Cells along one axis of a map, for numbers, arrays and tensors alike.

Integer coordinates are pixel centres, so pixel 0 covers ``[-0.5, 0.5)`` and cell 0 the first
``stride`` pixels, ``[-0.5, stride - 0.5)``.
"""

from typing import Any, TypeVar

T = TypeVar('T', bound=Any)


def cell_centre(cell: T, stride: float) -> T:
    """Coordinate, in pixels, of the centre of a cell: ``cell * stride + (stride - 1) / 2``.

    Examples:
        >>> cell_centre(0, 8), cell_centre(2, 8)
        (3.5, 19.5)
    """
    return cell * stride + (stride - 1) / 2


def cell_position(coordinate: T, stride: float) -> T:
    """Position of a coordinate in units of cells; whole numbers are cell centres.

    The inverse of :func:`cell_centre`.

    Examples:
        >>> cell_position(19.5, 8)
        2.0
    """
    return (coordinate - (stride - 1) / 2) / stride


def cell_of(coordinate: T, stride: float) -> T:
    """Number of the cell that a coordinate in pixels lies in, of the type of the coordinate.

    Examples:
        >>> cell_of(-0.5, 8), cell_of(7.4, 8), cell_of(7.5, 8)
        (0.0, 0.0, 1.0)
    """
    return (coordinate + 0.5) // stride
