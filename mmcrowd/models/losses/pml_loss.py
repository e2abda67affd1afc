"""Proximal Mapping Loss (Lin, Wan, Chan: *Proximal Mapping Loss: Understanding Loss Functions in Crowd Counting &
Localization*, ICLR 2025)."""
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmcrowd.models.partition import Partition, partition_batch
from mmcrowd.registry import MODELS

COSTS = ('clamped', 'max_normalized')


class PointCases(NamedTuple):
    """The point-neighbour cases of a batch (eq. 1-2): the cells, and the one point, of each.

    The K cases are the points of all images in order, and after them one dummy per image, with point mass 0, that
    takes the cells of an image without points.

    Attributes:
        case (Tensor): ``(N * h * w,)`` int64, the case of each cell.
        distance (Tensor): ``(N * h * w,)`` from each cell to its point, in input pixels; 0 in a dummy.
        target (Tensor): ``(K,)`` mass of the point: 1, in a dummy 0.
        image (Tensor): ``(K,)`` int64, the image of each case.
        counts (Tensor): ``(N,)`` int64, points of each image.
    """

    case: Tensor
    distance: Tensor
    target: Tensor
    image: Tensor
    counts: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """Sum of a value per cell ``(N * h * w,)`` over each case -> ``(K,)``; 0 for a case without cells."""
        return values.new_zeros(len(self.target)).index_add(0, self.case, values)

    def mean(self, values: Tensor) -> Tensor:
        """As :meth:`sum`, divided by the number of cells."""
        return self.sum(values) / self.sum(torch.ones_like(values)).clamp(min=1)

    def max(self, values: Tensor) -> Tensor:
        """Largest of a non-negative value over each case -> ``(K,)``; 0 for a case without cells."""
        return values.new_zeros(len(self.target)).scatter_reduce(0, self.case, values, 'amax')


def point_cases(points: list[Tensor], partition: Partition, dtype: torch.dtype) -> PointCases:
    """Number the point-neighbour cases of a batch, without a look at any value on the host.

    Args:
        points (list[Tensor]): For each image the ``(m_i, 2)`` positions; only their number is used.
        partition (Partition): Nearest point of every cell.
        dtype (torch.dtype): Of distances and targets.

    Returns:
        PointCases: Cells, points and images of the cases.
    """
    index, distance = partition
    num_images = len(index)
    counts = torch.tensor([len(p) for p in points]).to(index.device, non_blocking=True)
    total = sum(len(p) for p in points)
    images = torch.arange(num_images, device=index.device)
    first = torch.where(counts > 0, counts.cumsum(0) - counts, total + 1 + images)  # a dummy's cells have index -1
    image = torch.cat((images.repeat_interleave(counts, output_size=total), images))
    target = (torch.arange(len(image), device=index.device) < total).to(dtype)
    return PointCases((index + first[:, None, None]).flatten(),
                      distance.to(dtype).masked_fill((counts == 0)[:, None, None], 0).flatten(), target, image, counts)


def pml_cost(cases: PointCases, cost: str = 'clamped') -> Tensor:
    """Transport cost C from each cell to its point.

    Args:
        cases (PointCases): The cases of the batch, with distances d in input pixels; D is the largest d of a case.
        cost (str): ``'clamped'``: ``exp(d / max(D, 32)) - 1``, as in the authors' program, which gave the reported
            numbers. ``'max_normalized'``: ``exp(d - D)``, which is ``exp(d) / max exp(d)`` of eq. 24 without its overflow.

    Returns:
        Tensor: ``(N * h * w,)`` costs.

    Raises:
        ValueError: Unknown cost.
    """
    if cost not in COSTS:
        raise ValueError(f'cost must be one of {COSTS}, but got {cost!r}')
    farthest = cases.max(cases.distance)
    if cost == 'clamped':
        return torch.exp(cases.distance / farthest.clamp(min=32).index_select(0, cases.case)) - 1
    return torch.exp(cases.distance - farthest.index_select(0, cases.case))


def pml_loss(density: Tensor,
             points: list[Tensor],
             partition: Partition,
             cost: str = 'clamped',
             epsilon: float = 1.0) -> tuple[Tensor, Tensor]:
    r"""Proximal Mapping Loss in its L1 form.

    .. math::
        L(a) = \tilde C^\top a + \epsilon \sum_j | a_j^\top 1 - 1 |      \qquad \text{(eq. 14, 24)}

    with :math:`\tilde C` the cost of each cell minus its mean over the cell's case, and :math:`a_j` the cells of
    point j. A point that owns no cell adds the constant 1 to the sum. Two kinds of image are special, as in the
    authors' program, and :math:`\epsilon` does not enter there: without points
    :math:`L = \| a \|_1 + | a^\top 1 |`; otherwise, with a total density of at most 1 (a network that is still dead at
    the start), :math:`L = | a^\top 1 - m |`.

    Args:
        density (Tensor): ``(N, 1, h, w)`` persons per cell.
        points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        partition (Partition): Nearest point of every cell.
        cost (str): See :func:`pml_cost`. Defaults to ``'clamped'``.
        epsilon (float): Weight of the count term. Defaults to 1.0.

    Returns:
        tuple[Tensor, Tensor]: Background and count term of each image, ``(N,)`` each, in float32 (float64 for a float64
        density).
    """
    num_images = len(density)
    density = density.to(torch.promote_types(density.dtype, torch.float32)).reshape(num_images, -1)
    cases = point_cases(points, partition, density.dtype)
    empty = cases.counts == 0
    with torch.no_grad():
        weight = pml_cost(cases, cost)
        weight = (weight - cases.mean(weight).index_select(0, cases.case)).view_as(density)

    total = density.sum(1)
    dead = ~empty & (total <= 1)
    background = torch.where(empty, density.abs().sum(1), (density * weight).sum(1).masked_fill(dead, 0))

    error = (cases.sum(density.flatten()) - cases.target).abs()
    count = epsilon * error.new_zeros(num_images).index_add(0, cases.image, error)
    count = torch.where(empty | dead, (total - cases.counts).abs(), count)
    return background, count


@MODELS.register_module()
class PMLLoss(nn.Module):
    """Proximal Mapping Loss, see :func:`pml_loss`.

    Args:
        cost (str): ``'clamped'`` (the authors' program) or ``'max_normalized'`` (their paper), see :func:`pml_cost`.
            Defaults to ``'clamped'``.
        epsilon (float): Weight of the count term; the paper found 2 best (fig. 10a). Defaults to 1.0.

    Raises:
        ValueError: Unknown cost.
    """

    def __init__(self, cost: str = 'clamped', epsilon: float = 1.0) -> None:
        super().__init__()
        if cost not in COSTS:
            raise ValueError(f'PMLLoss: cost must be one of {COSTS}, but got {cost!r}')
        self.cost = cost
        self.epsilon = epsilon

    def forward(self,
                density: Tensor,
                points: list[Tensor],
                stride: int,
                partition: Partition | None = None) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            density (Tensor): ``(N, 1, h, w)`` persons per cell.
            points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
            stride (int): Input pixels per cell.
            partition (Partition, optional): Nearest point of every cell, of the same points, size and stride; with it
                nothing in the loss waits for the device. Defaults to None: it is computed here.

        Returns:
            dict[str, Tensor]: ``loss_background`` and ``loss_count``, means over the N images.

        Raises:
            ValueError: The number of point lists or the shape of the partition does not fit the density.
        """
        num_images, _, h, w = density.shape
        if len(points) != num_images:
            raise ValueError(f'PMLLoss: {num_images} density maps need as many lists of points, but got {len(points)}')
        if partition is None:
            # a float64 density deserves float64 distances
            dtype = torch.promote_types(density.dtype, torch.float32)
            partition = partition_batch([p.to(torch.promote_types(p.dtype, dtype)) for p in points], (h, w), stride)
        elif partition.index.shape != (num_images, h, w):
            raise ValueError(
                f'PMLLoss: the partition has shape {tuple(partition.index.shape)}, but the density map has '
                f'{(num_images, h, w)} cells; put PadToMultiple before PartitionByNearestPoint in the pipeline and give '
                f"PartitionByNearestPoint the head's output stride, {stride}")
        background, count = pml_loss(density, points, partition, self.cost, self.epsilon)
        return dict(loss_background=background.mean(), loss_count=count.mean())
