"""Proximal Mapping Loss (Lin, Wan, Chan: *Proximal Mapping Loss: Understanding Loss Functions in
Crowd Counting & Localization*, ICLR 2025).

The loss of an image is a sum over its point-neighbour cases. Each of the four forms of the paper is
one function here, of

- a, ``(N * h * w,)``: the density of each cell of the batch,
- s, ``(K,)``: the mass of each case, the sum of its a,
- w or c, ``(N * h * w,)``: the weight of each cell in the background (transport) term, a cost or
  made of one, see :mod:`~mmcrowd.models.losses.pml_costs`,
- the cases, a :class:`~mmcrowd.models.losses.point_cases.PointCases`,

and gives the background and the count term of each image, ``(N,)`` each.
"""

from collections.abc import Callable
from functools import partial
from inspect import signature

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_choice, check_positive
from mmcrowd.ops.partition import Partition
from mmcrowd.registry import MODELS

from .density_loss import DensityLoss
from .pml_costs import BACKGROUNDS, COST_BACKGROUNDS, COSTS, SIGMA_BACKGROUNDS
from .point_cases import PointCases

KL_FLOOR = 0.1  # mass of a case below which the logarithm of the KL form goes on as its tangent
# The same for the share eta / s of eq. 35. So small that it matters to no case which has any mass
# near its point, and so large that also the square of a gradient, for Adam, fits a float32.
SHARE_FLOOR = 1e-16


def pml_l1(
    a: Tensor, s: Tensor, w: Tensor, cases: PointCases, epsilon: float
) -> tuple[Tensor, Tensor]:
    r""":math:`\sum_j w_j^\top a_j + \epsilon | s_j - 1 |` (eq. 14, 24)."""
    background = cases.sum_cells(w * a)
    count = epsilon * cases.sum_cases((s - cases.mass).abs())
    return background, count


def pml_l2(
    a: Tensor, s: Tensor, w: Tensor, cases: PointCases, epsilon: float
) -> tuple[Tensor, Tensor]:
    r""":math:`\sum_j w_j^\top a_j + \frac{\epsilon}{2 n_j} (s_j - 1)^2` (eq. 13), with n_j cells
    and the paper's :math:`\tau = \epsilon`."""
    background = cases.sum_cells(w * a)
    count = epsilon * cases.sum_cases((s - cases.mass).square() / (2 * cases.size()))
    return background, count


def pml_kl(
    a: Tensor, s: Tensor, c: Tensor, cases: PointCases, epsilon: float
) -> tuple[Tensor, Tensor]:
    r""":math:`\sum_j c_j^\top a_j / s_j + \epsilon (s_j - \log s_j - 1)` (eq. 23), with the paper's
    :math:`\tau = \epsilon`.

    So that a missed point has a finite gradient, :math:`\log s_j` is continued below a mass of
    ``KL_FLOOR`` by its tangent, and the background term takes :math:`s_j` as no less.
    """
    background = cases.sum_cases(cases.sum(c * a) / s.clamp(min=KL_FLOOR))
    count = epsilon * _kl_count(s, cases)
    return background, count


def pml_entropic(
    a: Tensor, s: Tensor, c: Tensor, cases: PointCases, tau: float
) -> tuple[Tensor, Tensor]:
    r""":math:`\sum_j \tau (s_j - \log \eta_j - 1)` with :math:`\eta_j = \sum_i a_{ji} e^{-c_{ji} /
    \tau}` (eq. 35).

    The background term is :math:`\tau \log (s_j / \eta_j)`, which becomes that of eq. 23 for a
    large :math:`\tau`; the rest is the count term of eq. 23. So that a missed point has a finite
    gradient, a case of less mass than ``KL_FLOOR`` is filled up evenly to it in the background
    term, and the logarithm of a share :math:`\eta_j e^{\min_i c_{ji} / \tau} / s_j` is continued
    below ``SHARE_FLOOR`` by its tangent.
    """
    least = cases.min(c)
    kernel = ((cases.to_cells(least) - c) / tau).exp()  # at the least cost 1: no underflow
    missing = (KL_FLOOR - s).clamp(min=0)
    evenly = cases.mean(kernel)
    evenly = torch.where(evenly > 0, evenly, 1)  # a point without cells
    share = (cases.sum(a * kernel) + missing * evenly) / (s + missing)
    background = cases.sum_cases(cases.mass * (least - tau * _floored_log(share, SHARE_FLOOR)))
    count = tau * _kl_count(s, cases)
    return background, count


def _kl_count(s: Tensor, cases: PointCases) -> Tensor:
    """Sum of ``s - log s - 1`` over the points of each image, but not over its dummy."""
    return cases.sum_cases(cases.mass * (s - _floored_log(s, KL_FLOOR) - 1))


def _floored_log(value: Tensor, floor: float) -> Tensor:
    """Logarithm, and below the floor its tangent there."""
    floored = value.clamp(min=floor)
    return floored.log() + (value - floored) / floored


FORMS = dict(l1=pml_l1, l2=pml_l2, kl=pml_kl)


@MODELS.register_module()
class PMLLoss(DensityLoss):
    r"""Proximal Mapping Loss in its L1 form, the training loss of the paper (eq. 14, 24).

    With :math:`a_j` the cells of point j, :math:`s_j` the sum of them and :math:`w_j` their
    weights, by default :math:`c_j - \bar c_j`, the cost minus its mean:

    .. math:: L(a) = \sum_j w_j^\top a_j + \epsilon | s_j - 1 |

    The other forms are :class:`PMLL2Loss`, :class:`PMLKLLoss` and :class:`PMLEntropicLoss`, for
    which ``norm`` and ``tau`` are a short form in configs. Where a network cannot tell yet which
    point a mass belongs to, the L1 form is least at the median, which is too small in a dense
    crowd; the KL form is least at the mean.

    A point without cells adds a constant. Two kinds of image are special, as in the authors'
    program, and have no weight there. Without points :math:`L = \| a \|_1 + | a^\top 1 |`. With
    points but a total density of at most 1, from a network that is still dead,
    :math:`L = | a^\top 1 - m |`.

    The terms are ``loss_background`` (transport) and ``loss_count``. With the partition given,
    nothing in the loss waits for the device.

    Args:
        cost: c of a cell: ``'clamped'`` (the authors' program), ``'max_normalized'`` (their paper)
            or ``'euclidean'``, see :mod:`~mmcrowd.models.losses.pml_costs`. Defaults to
            ``'clamped'``.
        epsilon: Weight of the count term; the paper found 2 best (fig. 10a). Defaults to 1.0.
        norm: ``'l1'``, or ``'l2'`` for the form of :class:`PMLL2Loss`, or ``'kl'`` for that of
            :class:`PMLKLLoss`. Defaults to ``'l1'``.
        background: w of a cell (Table 7): of a cost ``'centered'`` (:math:`c - \bar c`) or
            ``'cost'`` (c); without a cost, but with ``background_sigma``, ``'bayesian'`` (eq. 12)
            or ``'ma2019'`` (that of Bayesian Loss). Defaults to None, ``'centered'``, or ``'cost'``
            for KL.
        tau: With ``norm='kl'``, for the form of :class:`PMLEntropicLoss`, which has no epsilon.
            Defaults to None.
        background_sigma: Sigma of ``'bayesian'`` and ``'ma2019'``, in input pixels. Defaults to
            8.0, as Bayesian Loss has it.

    Raises:
        ValueError: Unknown cost, norm or background, a tau or background_sigma that is not
            positive, or an option that the form or background does not have and that is not left
            at its default.

    Examples:
        Two points, each on a cell of its pair; the pairs hold the masses 1.5 and 0.5.

        >>> density = torch.tensor([[[[1.0, 0.5, 0.5, 0.0]]]])
        >>> points = [torch.tensor([[0.0, 0.0], [3.0, 0.0]])]
        >>> PMLLoss()(density, points, stride=1)
        {'loss_background': tensor(0.), 'loss_count': tensor(1.)}
    """

    needs_partition = True

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
        if background is None:
            background = 'cost' if norm == 'kl' else 'centered'
        check_choice(self, COSTS, cost=cost)
        check_choice(self, FORMS, norm=norm)
        check_choice(self, BACKGROUNDS, background=background)
        check_positive(self, background_sigma=background_sigma)
        if norm != 'kl':
            self._check_unused(f'{norm=}', tau=tau)
        if tau is not None:
            check_positive(self, tau=tau)
            self._check_unused(f'{tau=}', epsilon=epsilon)
        if background in COST_BACKGROUNDS:
            self._check_unused(f'{background=}', background_sigma=background_sigma)
        else:
            self._check_unused(f'{background=}', cost=cost)

        self.needs_image_side = background == 'ma2019'
        self.options = dict(
            cost=cost,
            epsilon=epsilon,
            norm=norm,
            background=background,
            tau=tau,
            background_sigma=background_sigma,
        )
        self.form: Callable
        if tau is None:
            self.form = partial(FORMS[norm], epsilon=epsilon)
        else:
            self.form = partial(pml_entropic, tau=tau)

    def _check_unused(self, because: str, **options: object) -> None:
        """See that options which have no part in the loss are left at their defaults."""
        for key, value in options.items():
            default = signature(PMLLoss).parameters[key].default
            if value != default:
                raise ValueError(
                    f'{type(self).__name__}: {because} has no {key}, which must be left at '
                    f'{default!r}, but got {value!r}'
                )

    def extra_repr(self) -> str:
        """The options."""
        return ', '.join(f'{key}={value!r}' for key, value in self.options.items())

    @torch.no_grad()
    def weight(self, cases: PointCases) -> Tensor:
        """Weight of each cell in the background term, ``(N * h * w,)``."""
        background = self.options['background']
        if background in SIGMA_BACKGROUNDS:
            return SIGMA_BACKGROUNDS[background](cases, self.options['background_sigma'])
        return COST_BACKGROUNDS[background](cases, COSTS[self.options['cost']](cases))

    def batch_loss(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition,
        sides: Tensor | None,
    ) -> dict[str, Tensor]:
        """Background and count term of each image; see the base class."""
        cases = PointCases(points, partition, sides)
        a = density.flatten()
        s = cases.sum(a)
        background, count = self.form(a, s, self.weight(cases), cases)

        total = cases.sum_cases(s)
        empty = cases.counts == 0
        dead = ~empty & (total <= 1)
        background = background.masked_fill(dead, 0)
        if any(len(p) == 0 for p in points):
            background = torch.where(empty, cases.sum_cells(a.abs()), background)
        count = torch.where(empty | dead, (total - cases.counts).abs(), count)
        return dict(loss_background=background, loss_count=count)


@MODELS.register_module()
class PMLL2Loss(PMLLoss):
    r"""Proximal Mapping Loss in its L2 form (eq. 13).

    With :math:`n_j` the number of the cells of a point:

    .. math:: L(a) = \sum_j w_j^\top a_j + \frac{\epsilon}{2 n_j} (s_j - 1)^2

    All else, and the arguments, are as in :class:`PMLLoss`.

    Args:
        cost: See :class:`PMLLoss`. Defaults to ``'clamped'``.
        epsilon: Weight of the count term, the paper's tau. Defaults to 1.0.
        background: See :class:`PMLLoss`. Defaults to ``'centered'``.
        background_sigma: See :class:`PMLLoss`. Defaults to 8.0.

    Raises:
        ValueError: As :class:`PMLLoss`.

    Examples:
        >>> density = torch.tensor([[[[1.0, 0.5, 0.5, 0.0]]]])
        >>> points = [torch.tensor([[0.0, 0.0], [3.0, 0.0]])]
        >>> PMLL2Loss()(density, points, stride=1)
        {'loss_background': tensor(0.), 'loss_count': tensor(0.1250)}
    """

    def __init__(
        self,
        cost: str = 'clamped',
        epsilon: float = 1.0,
        background: str = 'centered',
        background_sigma: float = 8.0,
    ) -> None:
        super().__init__(cost, epsilon, 'l2', background, None, background_sigma)


@MODELS.register_module()
class PMLKLLoss(PMLLoss):
    r"""Proximal Mapping Loss in its KL form with :math:`\tau \to \infty` in the target (eq. 23).

    .. math:: L(a) = \sum_j c_j^\top a_j / s_j + \epsilon (s_j - \log s_j - 1)

    Below a mass of 0.1 the logarithm is continued by its tangent, see :func:`pml_kl`. All else, and
    the arguments, are as in :class:`PMLLoss`.

    Args:
        cost: See :class:`PMLLoss`. Defaults to ``'clamped'``.
        epsilon: Weight of the count term, the paper's tau. Defaults to 1.0.
        background: In the place of c, see :class:`PMLLoss`. Defaults to ``'cost'``.
        background_sigma: See :class:`PMLLoss`. Defaults to 8.0.

    Raises:
        ValueError: As :class:`PMLLoss`.

    Examples:
        >>> density = torch.tensor([[[[1.5, 0.5]]]])
        >>> PMLKLLoss(cost='euclidean')(density, [torch.tensor([[0.0, 0.0]])], stride=1)
        {'loss_background': tensor(0.2500), 'loss_count': tensor(0.3069)}
    """

    def __init__(
        self,
        cost: str = 'clamped',
        epsilon: float = 1.0,
        background: str = 'cost',
        background_sigma: float = 8.0,
    ) -> None:
        super().__init__(cost, epsilon, 'kl', background, None, background_sigma)


@MODELS.register_module()
class PMLEntropicLoss(PMLLoss):
    r"""Proximal Mapping Loss in its KL form with a finite tau (eq. 35).

    .. math::
        L(a) = \sum_j \tau (s_j - \log \eta_j - 1),
        \quad \eta_j = \sum_i a_{ji} e^{-c_{ji} / \tau}

    For a large tau its background term is that of :class:`PMLKLLoss`. What it does with cases of
    little mass says :func:`pml_entropic`. All else, and the arguments, are as in :class:`PMLLoss`.

    Args:
        tau: Weight of the divergence, positive.
        cost: See :class:`PMLLoss`. Defaults to ``'clamped'``.
        background: In the place of c, see :class:`PMLLoss`. Defaults to ``'cost'``.
        background_sigma: See :class:`PMLLoss`. Defaults to 8.0.

    Raises:
        ValueError: As :class:`PMLLoss`.

    Examples:
        >>> density = torch.tensor([[[[1.5, 0.5]]]])
        >>> loss = PMLEntropicLoss(tau=1.0, cost='euclidean')
        >>> loss(density, [torch.tensor([[0.0, 0.0]])], stride=1)
        {'loss_background': tensor(0.1720), 'loss_count': tensor(0.3069)}
    """

    def __init__(
        self,
        tau: float,
        cost: str = 'clamped',
        background: str = 'cost',
        background_sigma: float = 8.0,
    ) -> None:
        super().__init__(cost, 1.0, 'kl', background, tau, background_sigma)
