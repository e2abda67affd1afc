"""Point-neighbour cases of the Proximal Mapping Loss (Lin, Wan and Chan, ICLR 2025, eq. 1-2)."""

import torch
from torch import Tensor

from mmcrowd.ops.partition import Partition

# Sums over a case run in so many accumulators in turn: neighbouring cells mostly share a case, and
# each addition would have to wait for the one before.
LANES = 4


class PointCases:
    """The point-neighbour cases of a batch: one point each, and the cells nearest to it.

    The K cases are the points of all images in order and, after them, one dummy per image with
    point mass 0; it takes the cells of an image without points, and none of another. The values of
    cells are flat, ``(N * h * w,)``. The host looks at no value.

    Args:
        points: For each image the ``(m_i, 2)`` positions; only m_i matters.
        partition: Nearest point of every cell, ``(N, h, w)``.
        sides: ``(N,)`` short side of each whole image in input pixels. Defaults to None; few
            backgrounds ask for it.

    Attributes:
        case: ``(N * h * w,)`` int64, the case of each cell.
        distance: ``(N * h * w,)`` from each cell to its point in input pixels; 0 in a dummy.
        mass: ``(K,)`` mass of the point: 1, in a dummy 0; of the dtype of the distance.
        image: ``(K,)`` int64, the image of each case.
        counts: ``(N,)`` int64, number of points of each image.
        sides: As given.

    Examples:
        >>> from mmcrowd.ops.partition import partition_batch
        >>> points = [torch.tensor([[0.0, 0.0], [3.0, 0.0]])]
        >>> cases = PointCases(points, partition_batch(points, (1, 4), 1))
        >>> cases.case
        tensor([0, 0, 1, 1])
        >>> cases.sum(torch.tensor([1.0, 0.5, 0.25, 0.0]))  # the dummy has no cells
        tensor([1.5000, 0.2500, 0.0000])
    """

    def __init__(
        self, points: list[Tensor], partition: Partition, sides: Tensor | None = None
    ) -> None:
        index, distance = partition
        device = index.device
        total = sum(len(p) for p in points)
        counts = torch.tensor([len(p) for p in points]).to(device, non_blocking=True)
        images = torch.arange(len(points), device=device)
        empty = counts == 0
        first = torch.where(empty, total + 1 + images, counts.cumsum(0) - counts)  # index is -1
        if any(len(p) == 0 for p in points):
            distance = distance.masked_fill(empty[:, None, None], 0)
        first = first[:, None, None]
        lane = first * LANES + torch.arange(index.shape[2], device=device) % LANES
        self.case = (index + first).flatten()
        self._lane = lane.add(index, alpha=LANES).flatten()
        self.distance = distance.flatten()
        self.image = torch.cat((images.repeat_interleave(counts, output_size=total), images))
        self.mass = (torch.arange(len(self.image), device=device) < total).to(distance.dtype)
        self.counts = counts
        self.sides = sides

    def sum(self, values: Tensor) -> Tensor:
        """Sum a value per cell over each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        lanes = values.new_zeros(len(self.mass) * LANES).index_add(0, self._lane, values)
        return lanes.view(-1, LANES).sum(1)

    def size(self) -> Tensor:
        """Number of cells of each case, at least 1: ``(K,)``."""
        return self.sum(torch.ones_like(self.distance)).clamp(min=1)

    def mean(self, values: Tensor) -> Tensor:
        """Average a value per cell over each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        return self.sum(values) / self.size()

    def max(self, values: Tensor) -> Tensor:
        """Largest non-negative value of each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        return values.new_zeros(len(self.mass)).scatter_reduce(0, self.case, values, 'amax')

    def min(self, values: Tensor) -> Tensor:
        """Smallest value of each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        least = values.new_zeros(len(self.mass))
        return least.scatter_reduce(0, self.case, values, 'amin', include_self=False)

    def to_cells(self, values: Tensor) -> Tensor:
        """Give each cell the value of its case: ``(K,) -> (N * h * w,)``."""
        return values.index_select(0, self.case)

    def sum_cells(self, values: Tensor) -> Tensor:
        """Sum a value per cell over each image: ``(N * h * w,) -> (N,)``."""
        return values.view(len(self.counts), -1).sum(1)

    def sum_cases(self, values: Tensor) -> Tensor:
        """Sum a value per case over each image: ``(K,) -> (N,)``."""
        return values.new_zeros(len(self.counts)).index_add(0, self.image, values)
