"""Loss of P2PNet (Song, Wang, Jiang, Wang, Tai, Wang, Li, Huang, Wu: *Rethinking Counting and
Localization in Crowds: A Purely Point-Based Framework*, ICCV 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.checks import check_choice, check_not_negative
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS, TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .assignment import unmatched
from .batch_ratio import batch_ratio
from .checks import may_overflow, take_output
from .hungarian_matcher import HungarianMatcher
from .output_loss import OutputLoss

REDUCTIONS = ('image', 'batch')


def p2p_loss(
    proposals: Tensor,
    logits: Tensor,
    points: list[Tensor],
    matches: list[tuple[Tensor, Tensor]],
    background_weight: float,
    reduction: str,
) -> tuple[Tensor, Tensor]:
    r"""Classification and squared distance of matched proposals.

    Of the R proposals of an image, :math:`p_j` with the probability :math:`c_j` of a person is
    matched with the point :math:`y_{i(j)}` for j in M. By ``reduction`` ``'image'``, as in the
    paper, the terms are means over the images of

    .. math::
        L_{cls} &= -\frac{1}{R} \Big( \sum_{j \in M} \log c_j
            + w \sum_{j \notin M} \log (1 - c_j) \Big)

        L_{loc} &= \frac{1}{|M|} \sum_{j \in M} \| p_j - y_{i(j)} \|_2^2

    so that every image counts alike, whatever its number m of points. By ``'batch'``, as in the
    published program, the sums go over all proposals of the batch (of all processes, see
    :func:`.batch_ratio.batch_ratio`; the program does so for the number of points only) and are
    divided by

    .. math::
        \sum (|M| + w (R - |M|)) \text{ for } L_{cls}, \qquad \sum m \text{ for } L_{loc}

    Without a match :math:`L_{loc} = 0`.

    Args:
        proposals: ``(N, R, 2)`` positions ``(x, y)`` in input pixels.
        logits: ``(N, R, 2)`` logits of background and person.
        points: For each image the ``(m_i, 2)`` annotated positions.
        matches: For each image the indices of the matched points and of their proposals.
        background_weight: w, see :class:`P2PLoss`.
        reduction: ``'image'`` or ``'batch'``.

    Returns:
        :math:`L_{cls}` and, in square pixels, :math:`L_{loc}`.
    """
    image = torch.cat([torch.full_like(proposal, i) for i, (_, proposal) in enumerate(matches)])
    proposal = torch.cat([proposal for _, proposal in matches])
    truth = torch.cat([p[point] for p, (point, _) in zip(points, matches, strict=True)])

    target = torch.zeros(logits.shape[:2], dtype=torch.long, device=logits.device)
    target[image, proposal] = 1
    weight = logits.new_tensor((background_weight, 1.0))
    classification = F.cross_entropy(
        logits.flatten(0, 1), target.flatten(), weight, reduction='sum'
    )
    square = (proposals[image, proposal] - truth).square().sum(1)
    if reduction == 'batch':
        weights = len(image) + background_weight * (target.numel() - len(image))
        number = sum(map(len, points))
        return (
            # Of background_weight=0 and a batch without points there is nothing to take a mean of.
            batch_ratio(classification, logits.new_tensor(weights), floor=1e-12),
            batch_ratio(square.sum(), logits.new_tensor(number), floor=1),
        )
    share = torch.cat([square.new_full(j.shape, 1 / max(len(j), 1)) for _, j in matches])
    return classification / target.numel(), (square * share).sum() / len(points)


@MODELS.register_module()
class P2PLoss(OutputLoss):
    """Loss of a point counter: matching, then :func:`p2p_loss`.

    The matching is a host step, and before it the host sees whether the batch can be matched. With
    proposals or logits that are not finite it cannot: under autocast or in half precision, where a
    forward pass may overflow, the losses of the batch and all their gradients are NaN, so that a
    gradient scaler skips the step and lowers its scale; otherwise it is an error.

    Args:
        matcher: Config of the matcher,
            ``(proposals (R, 2), logits (R, 2), points (m, 2)) -> (point, proposal)`` indices.
            Defaults to None, :class:`HungarianMatcher` as P2PNet has it.
        background_weight: Weight of the cross-entropy of unmatched proposals. Defaults to 0.5.
        point_weight: Weight of the mean squared distance; the published program is trained with 0,
            see ``configs/p2pnet``. Defaults to 2e-4.
        reduction: ``'image'``, means over the proposals and the matches of each image, as in the
            paper, or ``'batch'``, means by weight over the whole batch, as in the published
            program; see :func:`p2p_loss`. Where few proposals are matched the
            classification has nearly twice as much weight by ``'batch'``. Defaults to ``'image'``.

    Raises:
        ValueError: A weight is negative, or the reduction is unknown.

    Examples:
        Of two undecided proposals the first, at 5 pixels, is matched.

        >>> proposals, logits = torch.tensor([[[3.0, 4.0], [90.0, 0.0]]]), torch.zeros(1, 2, 2)
        >>> P2PLoss()(proposals, logits, [torch.zeros(1, 2)])
        {'loss_classification': tensor(0.5199), 'loss_point': tensor(0.0050)}
    """

    host_step = True

    def __init__(
        self,
        matcher: dict | None = None,
        background_weight: float = 0.5,
        point_weight: float = 2e-4,
        reduction: str = 'image',
    ) -> None:
        super().__init__()
        check_choice(self, REDUCTIONS, reduction=reduction)
        check_not_negative(self, background_weight=background_weight, point_weight=point_weight)
        self.matcher = HungarianMatcher() if matcher is None else TASK_UTILS.build(matcher)
        self.background_weight = background_weight
        self.point_weight = point_weight
        self.reduction = reduction

    def forward(self, proposals: Tensor, logits: Tensor, points: list[Tensor]) -> dict[str, Tensor]:
        """Compute the loss of a batch, in float32 (float64 for float64) under autocast, too.

        Args:
            proposals: ``(N, R, 2)`` positions ``(x, y)`` in input pixels.
            logits: ``(N, R, 2)`` logits of background and person.
            points: For each image the ``(m_i, 2)`` positions in input pixels.

        Returns:
            ``loss_classification`` and ``loss_point``, weighted.

        Raises:
            ValueError: The number of images in points does not fit the proposals; or a point, or
                outside of mixed precision a proposal or logit, is not finite.
        """
        if len(points) != len(proposals):
            raise ValueError(
                f'P2PLoss: proposals of {len(proposals)} images need as many lists of points, '
                f'but got {len(points)}'
            )
        overflows = may_overflow(proposals, logits)
        with torch.autocast(proposals.device.type, enabled=False):
            proposals = at_least_float32(proposals)
            logits = logits.to(proposals)
            points = [p.to(proposals) for p in points]
            finite = torch.stack((proposals, logits)).isfinite()
            overflow: Tensor | float = 0.0
            if finite.all():
                matches = [
                    self.matcher(*image)
                    for image in zip(proposals.detach(), logits.detach(), points, strict=True)
                ]
            elif overflows:
                # The terms are made all the same: other processes wait for what this one adds.
                matches = unmatched(proposals)
                overflow = (proposals.sum() + logits.sum()) * torch.nan
            else:
                raise ValueError(
                    'P2PLoss: outside of mixed precision proposals and logits must be finite, '
                    f'but got {int((~finite).sum())} of {finite.numel()} numbers that are not'
                )
            classification, location = p2p_loss(
                proposals, logits, points, matches, self.background_weight, self.reduction
            )
        return dict(
            loss_classification=classification + overflow,
            loss_point=self.point_weight * location + overflow,
        )

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch from the outputs ``points`` and ``logits``, both
        ``(N, R, 2)``; see the base class and :meth:`forward`."""
        proposals, logits = (take_output(outputs, name, self) for name in ('points', 'logits'))
        points = [sample.gt_instances.points for sample in data_samples]
        return self(proposals, logits, points)
