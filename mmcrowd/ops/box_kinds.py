"""Which of some square boxes stands for a head, by the distance of its nearest neighbour: the
targets of LSC-CNN (Sam et al.: *Locate, Size and Count*, TPAMI 2020)."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .cells import cell_of
from .neighbours import nearest_neighbour_distances

# Sides of the boxes in cells of the finest scale, ascending: three for each of the four scales.
BOX_SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24)


def box_kinds(
    points: np.ndarray, size: Sequence[int], stride: int, sizes: Sequence[int] = BOX_SIZES
) -> np.ndarray:
    """Mark the cells of the heads with the kinds of their boxes.

    A box is the largest that is no wider than the way to the nearest other cell with a head, in
    cells; it is the largest of all where there is none, and the smallest where none is so narrow.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in pixels. A point outside the frame counts in the
            nearest cell; several in one cell are one head.
        size: Height and width ``(h, w)`` in cells.
        stride: Pixels per cell.
        sizes: Sides of the boxes in cells, ascending, fewer than 255. Defaults to
            :data:`BOX_SIZES`.

    Returns:
        ``(h, w)`` uint8: 0 in a cell without head, k in one with the k-th of the boxes.

    Examples:
        >>> box_kinds(np.array([[0.0, 0.0], [4.0, 0.0], [5.0, 0.0]]), (1, 4), 2)
        array([[2, 0, 2, 0]], dtype=uint8)
    """
    kinds = np.zeros(size, np.uint8)
    cells = np.reshape(points, (-1, 2)).astype(np.float64)
    cells = cell_of(cells, stride).clip(0, np.array(size[::-1]) - 1)
    cells = np.unique(cells, axis=0)
    distances = nearest_neighbour_distances(cells)
    x, y = cells.astype(np.int64).T
    kinds[y, x] = np.searchsorted(sizes, distances, side='right').clip(min=1)
    return kinds


def scale_classes(kinds: Tensor, scale: int, boxes: int = 3) -> Tensor:
    """Class of every cell of a scale: which of its boxes a head in it has, or background.

    Args:
        kinds: ``(..., h, w)`` of :func:`box_kinds`, integers. The first ``boxes`` kinds belong to
            scale 0, the next to scale 1, and so on.
        scale: A cell of it is ``2 ** scale`` cells high and wide, which divide both sides.
        boxes: Number of boxes of a scale. Defaults to 3.

    Returns:
        ``(..., h / 2**scale, w / 2**scale)`` int64: 0 to ``boxes - 1``, or ``boxes`` for the
        background. Of several heads of the scale in one cell the largest box counts.

    Examples:
        >>> kinds = torch.tensor([[1, 0, 4, 0], [0, 0, 0, 6]])
        >>> scale_classes(kinds, 0).tolist(), scale_classes(kinds, 1).tolist()
        ([[0, 3, 3, 3], [3, 3, 3, 3]], [[3, 2]])
    """
    place = kinds.long() - 1 - scale * boxes
    place = torch.where((place >= 0) & (place < boxes), place, -1).float()
    factor = 2**scale
    shape = (*kinds.shape[:-2], kinds.shape[-2] // factor, kinds.shape[-1] // factor)
    cells = F.max_pool2d(place.reshape(-1, 1, *kinds.shape[-2:]), factor).reshape(shape).long()
    return torch.where(cells < 0, boxes, cells)
