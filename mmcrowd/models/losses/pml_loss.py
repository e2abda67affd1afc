"""Proximal Mapping Loss (Lin, Wan, Chan: *Proximal Mapping Loss: Understanding Loss Functions in
Crowd Counting & Localization*, ICLR 2025)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmcrowd.models.partition import Partition, partition_batch
from mmcrowd.registry import MODELS

COSTS = ('clamped', 'max_normalized')
NORMS = ('l1', 'kl')
KL_FLOOR = 0.1  # mass of a case below which the logarithm of the KL form goes on as its tangent

# Sums over a case run in so many accumulators in turn: neighbouring cells mostly share a case, and
# each addition would have to wait for the one before.
LANES = 4


class PointCases(NamedTuple):
    """The point-neighbour cases of a batch (eq. 1-2): one point, and the cells nearest to it.

    The K cases are the points of all images in order and, after them, one dummy per image with
    point mass 0; it takes the cells of an image without points, and none of another.

    Attributes:
        case (Tensor): ``(N * h * w,)`` int64, the case of each cell.
        lane (Tensor): ``(N * h * w,)`` int64, the accumulator of each cell, of ``K * LANES``.
        distance (Tensor): ``(N * h * w,)`` from each cell to its point in input pixels; 0 in a
            dummy.
        mass (Tensor): ``(K,)`` mass of the point: 1, in a dummy 0.
        image (Tensor): ``(K,)`` int64, the image of each case.
        counts (Tensor): ``(N,)`` int64, number of points of each image.
    """

    case: Tensor
    lane: Tensor
    distance: Tensor
    mass: Tensor
    image: Tensor
    counts: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """Sum a value per cell over each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        lanes = values.new_zeros(len(self.mass) * LANES).index_add(0, self.lane, values)
        return lanes.view(-1, LANES).sum(1)

    def mean(self, values: Tensor) -> Tensor:
        """Average a value per cell over each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        return self.sum(values) / self.sum(torch.ones_like(values)).clamp(min=1)

    def max(self, values: Tensor) -> Tensor:
        """Largest non-negative value of each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        return values.new_zeros(len(self.mass)).scatter_reduce(0, self.case, values, 'amax')


def point_cases(points: list[Tensor], partition: Partition, dtype: torch.dtype) -> PointCases:
    """Number the point-neighbour cases of a batch; the host looks at no value.

    Args:
        points (list[Tensor]): For each image the ``(m_i, 2)`` positions; only m_i matters.
        partition (Partition): Nearest point of every cell.
        dtype (torch.dtype): Of distances and masses.

    Returns:
        PointCases: The cases of the batch.
    """
    index, distance = partition
    device = index.device
    total = sum(len(p) for p in points)
    counts = torch.tensor([len(p) for p in points]).to(device, non_blocking=True)
    images = torch.arange(len(points), device=device)
    empty = counts == 0
    first = torch.where(empty, total + 1 + images, counts.cumsum(0) - counts)  # index is -1 there
    image = torch.cat((images.repeat_interleave(counts, output_size=total), images))
    distance = distance.to(dtype)
    if any(len(p) == 0 for p in points):
        distance = distance.masked_fill(empty[:, None, None], 0)
    first = first[:, None, None]
    lane = first * LANES + torch.arange(index.shape[2], device=device) % LANES
    return PointCases(
        case=(index + first).flatten(),
        lane=lane.add(index, alpha=LANES).flatten(),
        distance=distance.flatten(),
        mass=(torch.arange(len(image), device=device) < total).to(dtype),
        image=image,
        counts=counts,
    )


def pml_cost(cases: PointCases, cost: str = 'clamped') -> Tensor:
    """Cost C of moving mass from each cell to its point.

    Args:
        cases (PointCases): The cases of the batch, with distances d and D the largest of the case.
        cost (str): ``'clamped'``: ``exp(d / max(D, 32)) - 1``, from the authors' program, which
            gave the reported numbers. ``'max_normalized'``: ``exp(d - D)``, the
            ``exp(d) / max exp(d)`` of eq. 24 without its overflow. Defaults to ``'clamped'``.

    Returns:
        Tensor: ``(N * h * w,)`` costs.

    Raises:
        ValueError: Unknown cost.
    """
    if cost not in COSTS:
        raise ValueError(f'cost must be one of {COSTS}, but got {cost!r}')
    farthest = cases.max(cases.distance)
    if cost == 'clamped':
        return (cases.distance / farthest.clamp(min=32).index_select(0, cases.case)).exp() - 1
    return (cases.distance - farthest.index_select(0, cases.case)).exp()


def pml_loss(
    density: Tensor,
    points: list[Tensor],
    partition: Partition,
    cost: str = 'clamped',
    epsilon: float = 1.0,
    norm: str = 'l1',
) -> tuple[Tensor, Tensor]:
    r"""Proximal Mapping Loss.

    With :math:`a_j` the cells of point j, :math:`s_j = a_j^\top 1` their mass and
    :math:`\tilde C` the cost of each cell minus its mean over the cell's case:

    .. math::
        L_{L1}(a) &= \sum_j \tilde C_j^\top a_j + \epsilon | s_j - 1 |  \qquad \text{(eq. 14, 24)}

        L_{KL}(a) &= \sum_j C_j^\top a_j / s_j + \epsilon (s_j - \log s_j - 1)
            \qquad \text{(eq. 23, with } \tau = \epsilon \text{)}

    Where a network cannot tell yet which point a mass belongs to, the L1 form is least at the
    median, which is too small in a dense crowd; the KL form is least at the mean. Below
    ``KL_FLOOR`` its logarithm is continued by the tangent, so that a missed point has a finite
    gradient, :math:`\epsilon (1 - 1 / 0.1)`.

    A point without cells adds a constant. Two kinds of image are special, as in the authors'
    program, and :math:`\epsilon` has no part in them. Without points
    :math:`L = \| a \|_1 + | a^\top 1 |`. With points but a total density of at most 1, from a
    network that is still dead, :math:`L = | a^\top 1 - m |`.

    Args:
        density (Tensor): ``(N, 1, h, w)`` persons per cell, not negative.
        points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        partition (Partition): Nearest point of every cell, of the same points and size.
        cost (str): See :func:`pml_cost`. Defaults to ``'clamped'``.
        epsilon (float): Weight of the count term. Defaults to 1.0.
        norm (str): ``'l1'`` or ``'kl'``. Defaults to ``'l1'``.

    Returns:
        tuple[Tensor, Tensor]: Background (transport) and count term of each image, ``(N,)`` each;
        float32, or float64 for a float64 density.

    Raises:
        ValueError: Unknown cost or norm.
    """
    if norm not in NORMS:
        raise ValueError(f'norm must be one of {NORMS}, but got {norm!r}')
    density = density.to(torch.promote_types(density.dtype, torch.float32)).flatten(1)
    cases = point_cases(points, partition, density.dtype)
    mass = cases.sum(density.flatten())
    total = mass.new_zeros(len(points)).index_add(0, cases.image, mass)
    with torch.no_grad():
        weight = pml_cost(cases, cost)
        if norm == 'l1':
            weight = weight - cases.mean(weight).index_select(0, cases.case)
    if norm == 'l1':
        background = (density * weight.view_as(density)).sum(1)
        error = (mass - cases.mass).abs()
    else:
        transport = cases.sum(density.flatten() * weight) / mass.clamp(min=KL_FLOOR)
        background = transport.new_zeros(len(total)).index_add(0, cases.image, transport)
        error = cases.mass * _kl_count(mass)  # a dummy adds no constant
    count = epsilon * error.new_zeros(len(total)).index_add(0, cases.image, error)

    empty = cases.counts == 0
    dead = ~empty & (total <= 1)
    background = background.masked_fill(dead, 0)
    if any(len(p) == 0 for p in points):
        background = torch.where(empty, density.abs().sum(1), background)
    count = torch.where(empty | dead, (total - cases.counts).abs(), count)
    return background, count


def _kl_count(mass: Tensor) -> Tensor:
    """``s - log s - 1``, and its tangent below ``KL_FLOOR``."""
    floored = mass.clamp(min=KL_FLOOR)
    return floored - floored.log() - 1 + (1 - 1 / floored) * (mass - floored)


@MODELS.register_module()
class PMLLoss(nn.Module):
    """Proximal Mapping Loss, see :func:`pml_loss`.

    Args:
        cost (str): ``'clamped'`` (the authors' program) or ``'max_normalized'`` (their paper), see
            :func:`pml_cost`. Defaults to ``'clamped'``.
        epsilon (float): Weight of the count term; the paper found 2 best (fig. 10a). Defaults to
            1.0.
        norm (str): ``'l1'`` (the training loss of the paper) or ``'kl'``. Defaults to ``'l1'``.

    Raises:
        ValueError: Unknown cost or norm.
    """

    def __init__(self, cost: str = 'clamped', epsilon: float = 1.0, norm: str = 'l1') -> None:
        super().__init__()
        for key, value, known in (('cost', cost, COSTS), ('norm', norm, NORMS)):
            if value not in known:
                raise ValueError(f'PMLLoss: {key} must be one of {known}, but got {value!r}')
        self.cost = cost
        self.epsilon = epsilon
        self.norm = norm

    def forward(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            density (Tensor): ``(N, 1, h, w)`` persons per cell.
            points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input
                pixels.
            stride (int): Input pixels per cell.
            partition (Partition, optional): Nearest point of every cell, for the same points, size
                and stride; with it, nothing in the loss waits for the device. Defaults to None, to
                compute it here.

        Returns:
            dict[str, Tensor]: ``loss_background`` and ``loss_count``, means over the N images.

        Raises:
            ValueError: The number of images in points or partition, or the size of the partition,
                does not fit the density.
        """
        num_images, _, h, w = density.shape
        if len(points) != num_images:
            raise ValueError(
                f'PMLLoss: {num_images} density maps need as many lists of points, '
                f'but got {len(points)}'
            )
        if partition is None:
            # so that a float64 density meets float64 distances
            dtype = torch.promote_types(points[0].dtype, density.dtype)
            partition = partition_batch([p.to(dtype) for p in points], (h, w), stride)
        elif partition.index.shape != (num_images, h, w):
            raise ValueError(
                f'PMLLoss: the partition has the shape {tuple(partition.index.shape)}, but the '
                f'density map needs {(num_images, h, w)}; end the pipeline with '
                f'PadToMultiple(divisor: the pad_size_divisor of the data preprocessor) and '
                f'PartitionByNearestPoint(stride: the stride of the head, {stride})'
            )
        background, count = pml_loss(density, points, partition, self.cost, self.epsilon, self.norm)
        return dict(loss_background=background.mean(), loss_count=count.mean())
