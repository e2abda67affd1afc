"""Proximal Mapping Loss (Lin, Wan, Chan: *Proximal Mapping Loss: Understanding Loss Functions in
Crowd Counting & Localization*, ICLR 2025)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmcrowd.models.losses.density_loss import check_batch, partition_like, short_sides
from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.registry import MODELS

COSTS = ('clamped', 'max_normalized', 'euclidean')
BACKGROUNDS = ('centered', 'cost', 'bayesian', 'ma2019')
NORMS = ('l1', 'l2', 'kl')
KL_FLOOR = 0.1  # mass of a case below which the logarithm of the KL form goes on as its tangent
# The same for the share eta / s of eq. 35. So small that it matters to no case which has any mass
# near its point, and so large that also the square of a gradient, for Adam, fits a float32.
SHARE_FLOOR = 1e-16

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
        return self.sum(values) / self.size()

    def size(self) -> Tensor:
        """Number of cells of each case, at least 1: ``(K,)``."""
        return self.sum(torch.ones_like(self.distance)).clamp(min=1)

    def max(self, values: Tensor) -> Tensor:
        """Largest non-negative value of each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        return values.new_zeros(len(self.mass)).scatter_reduce(0, self.case, values, 'amax')

    def min(self, values: Tensor) -> Tensor:
        """Smallest value of each case: ``(N * h * w,) -> (K,)``, 0 without cells."""
        least = values.new_zeros(len(self.mass))
        return least.scatter_reduce(0, self.case, values, 'amin', include_self=False)


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
            ``exp(d) / max exp(d)`` of eq. 24 without its overflow. ``'euclidean'``: d, in input
            pixels. Defaults to ``'clamped'``.

    Returns:
        Tensor: ``(N * h * w,)`` costs.

    Raises:
        ValueError: Unknown cost.
    """
    if cost not in COSTS:
        raise ValueError(f'cost must be one of {COSTS}, but got {cost!r}')
    if cost == 'euclidean':
        return cases.distance
    farthest = cases.max(cases.distance)
    if cost == 'clamped':
        return (cases.distance / farthest.clamp(min=32).index_select(0, cases.case)).exp() - 1
    return (cases.distance - farthest.index_select(0, cases.case)).exp()


def bayesian_background(distance: Tensor, farthest: Tensor, sigma: float = 8.0) -> Tensor:
    r"""Posterior of the background in a point-neighbour case (eq. 12).

    .. math::
        q = \frac{N}{N + 1}, \qquad N = \frac{1}{\sqrt{2 \pi} \sigma}
            \exp \Big( {-\frac{(D - d)^2}{2 \sigma^2}} \Big)

    with the largest distance D of the case: largest in the cell that is farthest from the point,
    but less than 0.05 even there with the default sigma.

    Args:
        distance (Tensor): d of each cell in input pixels.
        farthest (Tensor): D of the case of each cell in input pixels.
        sigma (float): In input pixels. Defaults to 8.0.

    Returns:
        Tensor: Weight q of each cell.
    """
    logit = -(((farthest - distance) / sigma) ** 2) / 2
    return torch.sigmoid(logit - math.log(math.sqrt(2 * math.pi) * sigma))


def ma2019_background(
    distance: Tensor, side: float | Tensor, sigma: float = 8.0, ratio: float = 1.0
) -> Tensor:
    """Posterior of the background next to a single point in the program of Bayesian Loss.

    Between the point at the distance d and a dummy background at the squared distance
    ``(side * ratio)^2 / d^2``, see :func:`~mmcrowd.models.losses.bayesian_loss.bayesian_loss` (Ma,
    Wei, Hong and Gong, ICCV 2019).

    Args:
        distance (Tensor): d of each cell in input pixels.
        side (float | Tensor): Short side of the whole image in input pixels, one number or one for
            each cell.
        sigma (float): Of the likelihood of a point, in input pixels. Defaults to 8.0.
        ratio (float): Background ratio. Defaults to 1.0.

    Returns:
        Tensor: Weight q of each cell, from 0 at the point to 1 far from it.
    """
    square = distance.square()
    background = (side * ratio) ** 2 / (square + 1e-5)
    return torch.sigmoid((square - background) / (2 * sigma**2))


def background_weight(
    cases: PointCases,
    cost: str,
    background: str,
    sides: Tensor | None = None,
    sigma: float = 8.0,
) -> Tensor:
    r"""Weight of the mass of each cell in the background term (Table 7 of the paper).

    Args:
        cases (PointCases): The cases of the batch.
        cost (str): See :func:`pml_cost`.
        background (str): ``'centered'``: the cost minus its mean over the case,
            :math:`c - \bar c`. ``'cost'``: c. Two have no cost: ``'bayesian'``, the
            :func:`bayesian_background` of the paper, and ``'ma2019'``, the
            :func:`ma2019_background` that Bayesian Loss is trained with.
        sides (Tensor, optional): ``(N,)`` short side of each whole image in input pixels; only
            ``'ma2019'`` needs it.
        sigma (float): Of the two without a cost, in input pixels. Defaults to 8.0.

    Returns:
        Tensor: ``(N * h * w,)`` weights.

    Raises:
        ValueError: Unknown cost or background, or no sides for ``'ma2019'``.
    """
    if background not in BACKGROUNDS:
        raise ValueError(f'background must be one of {BACKGROUNDS}, but got {background!r}')
    if background == 'bayesian':
        farthest = cases.max(cases.distance).index_select(0, cases.case)
        return bayesian_background(cases.distance, farthest, sigma)
    if background == 'ma2019':
        if sides is None:
            raise ValueError("background='ma2019' needs the sides of the images, but got None")
        side = sides.index_select(0, cases.image).index_select(0, cases.case)
        return ma2019_background(cases.distance, side, sigma)
    weight = pml_cost(cases, cost)
    if background == 'centered':
        weight = weight - cases.mean(weight).index_select(0, cases.case)
    return weight


def pml_loss(
    density: Tensor,
    points: list[Tensor],
    partition: Partition,
    stride: int,
    cost: str = 'clamped',
    epsilon: float = 1.0,
    norm: str = 'l1',
    background: str | None = None,
    tau: float | None = None,
    background_sigma: float = 8.0,
    image_sides: list[float] | Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Proximal Mapping Loss.

    With :math:`a_j` the cells of point j, :math:`n_j` their number, :math:`s_j = a_j^\top 1` their
    mass and :math:`w_j` their weights, by default :math:`c_j - \bar c_j`, the cost minus its mean:

    .. math::
        L_{L1}(a) &= \sum_j w_j^\top a_j + \epsilon | s_j - 1 |  \qquad \text{(eq. 14, 24)}

        L_{L2}(a) &= \sum_j w_j^\top a_j + \frac{\epsilon}{2 n_j} (s_j - 1)^2
            \qquad \text{(eq. 13, with } \tau = \epsilon \text{)}

        L_{KL}(a) &= \sum_j c_j^\top a_j / s_j + \epsilon (s_j - \log s_j - 1)
            \qquad \text{(eq. 23, with } \tau = \epsilon \text{)}

        L_{KL,\tau}(a) &= \sum_j \tau (s_j - \log \eta_j - 1),
            \quad \eta_j = \sum_i a_{ji} e^{-c_{ji} / \tau}  \qquad \text{(eq. 35)}

    In the last the background term is :math:`\tau \log (s_j / \eta_j)`, which becomes that of
    eq. 23 for a large :math:`\tau`, and the rest is the count term.

    Where a network cannot tell yet which point a mass belongs to, the L1 form is least at the
    median, which is too small in a dense crowd; the KL form is least at the mean. So that a missed
    point has a finite gradient, :math:`\log s_j` is continued below a mass of ``KL_FLOOR`` by its
    tangent, and the background term takes :math:`s_j` as no less in eq. 23, and in eq. 35 as if
    what is missing of this mass were spread evenly over the cells. However small :math:`\eta_j` is
    in a case of more mass, eq. 35 holds, but for shares :math:`\eta_j e^{\min_i c_{ji} / \tau} /
    s_j` below ``SHARE_FLOOR``, whose logarithm is continued by its tangent, too.

    A point without cells adds a constant. Two kinds of image are special, as in the authors'
    program, and :math:`\epsilon` has no part in them. Without points
    :math:`L = \| a \|_1 + | a^\top 1 |`. With points but a total density of at most 1, from a
    network that is still dead, :math:`L = | a^\top 1 - m |`.

    Args:
        density (Tensor): ``(N, 1, h, w)`` persons per cell, not negative.
        points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
        partition (Partition): Nearest point of every cell, of the same points and size.
        stride (int): Input pixels per cell.
        cost (str): See :func:`pml_cost`. Defaults to ``'clamped'``.
        epsilon (float): Weight of the count term. Defaults to 1.0.
        norm (str): ``'l1'``, ``'l2'`` or ``'kl'``. Defaults to ``'l1'``.
        background (str, optional): See :func:`background_weight`. Defaults to ``'centered'`` for
            ``'l1'`` and ``'l2'``, and to ``'cost'`` for ``'kl'``.
        tau (float, optional): For ``norm='kl'``: eq. 35 with this :math:`\tau`. Defaults to None,
            :math:`\tau \to \infty` and thus eq. 23.
        background_sigma (float): The sigma of ``background='bayesian'`` or ``'ma2019'``, in input
            pixels. Defaults to 8.0.
        image_sides (list[float] | Tensor, optional): For each image the short side of the whole
            image in input pixels, for ``background='ma2019'``. Defaults to None, that of the map.

    Returns:
        tuple[Tensor, Tensor]: Background (transport) and count term of each image, ``(N,)`` each;
        float32, or float64 for a float64 density.

    Raises:
        ValueError: Unknown cost, norm or background.
    """
    if norm not in NORMS:
        raise ValueError(f'norm must be one of {NORMS}, but got {norm!r}')
    density = density.to(torch.promote_types(density.dtype, torch.float32))
    sides = short_sides(density, stride, image_sides)
    density = density.flatten(1)
    cases = point_cases(points, partition, density.dtype)
    mass = cases.sum(density.flatten())
    total = mass.new_zeros(len(points)).index_add(0, cases.image, mass)
    with torch.no_grad():
        background = background or ('cost' if norm == 'kl' else 'centered')
        weight = background_weight(cases, cost, background, sides, background_sigma)

    if norm == 'kl':
        if tau is None:
            transport = cases.sum(density.flatten() * weight) / mass.clamp(min=KL_FLOOR)
        else:
            epsilon = tau
            least = cases.min(weight)
            # Relative to the nearest cell, so that a large cost is no underflow.
            share = ((least.index_select(0, cases.case) - weight) / tau).exp()
            missing = (KL_FLOOR - mass).clamp(min=0)
            evenly = cases.mean(share)
            evenly = torch.where(evenly > 0, evenly, 1)  # a point without cells
            kept = cases.sum(density.flatten() * share) + missing * evenly
            kept = _floored_log(kept / (mass + missing), SHARE_FLOOR)
            transport = cases.mass * (least - tau * kept)
        transport = transport.new_zeros(len(total)).index_add(0, cases.image, transport)
        error = cases.mass * (mass - _floored_log(mass) - 1)  # a dummy adds no constant
    else:
        transport = (density * weight.view_as(density)).sum(1)
        error = (mass - cases.mass).abs()
        if norm == 'l2':
            error = error.square() / (2 * cases.size())
    count = epsilon * error.new_zeros(len(total)).index_add(0, cases.image, error)

    empty = cases.counts == 0
    dead = ~empty & (total <= 1)
    transport = transport.masked_fill(dead, 0)
    if any(len(p) == 0 for p in points):
        transport = torch.where(empty, density.abs().sum(1), transport)
    count = torch.where(empty | dead, (total - cases.counts).abs(), count)
    return transport, count


def _floored_log(value: Tensor, floor: float = KL_FLOOR) -> Tensor:
    """Logarithm, and below the floor its tangent there."""
    floored = value.clamp(min=floor)
    return floored.log() + (value - floored) / floored


@MODELS.register_module()
class PMLLoss(nn.Module):
    """Proximal Mapping Loss, see :func:`pml_loss`.

    Attributes:
        needs_image_side (bool): Whether the background goes by the size of the whole image, see
            :class:`~mmcrowd.models.DensityLoss`.

    Args:
        cost (str): ``'clamped'`` (the authors' program), ``'max_normalized'`` (their paper) or
            ``'euclidean'``, see :func:`pml_cost`. Defaults to ``'clamped'``.
        epsilon (float): Weight of the count term; the paper found 2 best (fig. 10a). Defaults to
            1.0.
        norm (str): ``'l1'`` (the training loss of the paper), ``'l2'`` or ``'kl'``. Defaults to
            ``'l1'``.
        background (str, optional): ``'centered'`` (the default for L1 and L2), ``'cost'`` (the
            default for KL), ``'bayesian'`` (eq. 12) or ``'ma2019'``, see :func:`background_weight`.
        tau (float, optional): Finite tau of the KL form (eq. 35), in the place of epsilon.
            Defaults to None, the limit of a large one (eq. 23).
        background_sigma (float): The sigma of ``background='bayesian'`` or ``'ma2019'``, in input
            pixels. Defaults to 8.0, as Bayesian Loss has it.

    Raises:
        ValueError: Unknown cost, norm or background, a tau that is not positive or not for KL, or a
            background_sigma that is not positive.
    """

    def __init__(
        self,
        cost: str = 'clamped',
        epsilon: float = 1.0,
        norm: str = 'l1',
        background: str | None = None,
        tau: float | None = None,
        background_sigma: float = 8.0,
    ) -> None:
        super().__init__()
        for key, value, known in (
            ('cost', cost, COSTS),
            ('norm', norm, NORMS),
            ('background', background, (None, *BACKGROUNDS)),
        ):
            if value not in known:
                raise ValueError(f'PMLLoss: {key} must be one of {known}, but got {value!r}')
        if tau is not None and not (norm == 'kl' and tau > 0):
            raise ValueError(
                f"PMLLoss: tau must be positive and comes with norm='kl', but got {tau=}, {norm=}"
            )
        if not background_sigma > 0:
            raise ValueError(
                f'PMLLoss: background_sigma must be positive, but got {background_sigma}'
            )
        self.needs_image_side = background == 'ma2019'
        self.options = dict(
            cost=cost,
            epsilon=epsilon,
            norm=norm,
            background=background,
            tau=tau,
            background_sigma=background_sigma,
        )

    def extra_repr(self) -> str:
        return ', '.join(f'{key}={value!r}' for key, value in self.options.items())

    def forward(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition | None = None,
        image_sides: list[float] | Tensor | None = None,
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
            image_sides (list[float] | Tensor, optional): For each image the short side, in input
                pixels, of the whole image that the density is a crop of. Only looked at if the loss
                needs it. Defaults to None, the short side of the map.

        Returns:
            dict[str, Tensor]: ``loss_background`` and ``loss_count``, means over the N images.

        Raises:
            ValueError: The number of images in points, partition or image_sides, or the size of the
                partition, does not fit the density.
        """
        check_batch(self, density, points, stride, partition, image_sides)
        density = density.to(torch.promote_types(density.dtype, torch.float32))
        if partition is None:
            # so that a float64 density meets float64 distances
            partition = partition_batch([p.to(density) for p in points], density.shape[2:], stride)
        partition = partition_like(partition, density)
        background, count = pml_loss(
            density, points, partition, stride, **self.options, image_sides=image_sides
        )
        return dict(loss_background=background.mean(), loss_count=count.mean())
