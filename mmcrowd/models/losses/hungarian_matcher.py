"""One-to-one matching of predicted with annotated points (Song et al.: *Rethinking Counting and
Localization in Crowds: A Purely Point-Based Framework*, ICCV 2021)."""

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_choice
from mmcrowd.registry import TASK_UTILS

from .assignment import assign

SCORES = ('probability', 'logit')


def matching_cost(
    proposals: Tensor,
    logits: Tensor,
    points: Tensor,
    score: str,
    distance_weight: float,
    score_weight: float,
) -> Tensor:
    r"""Cost of matching each point with each proposal.

    .. math::
        C_{ij} = w_d \| y_i - p_j \|_2 - w_s s_j

    With :math:`x_j` the logit of person minus that of background, the score :math:`s_j` is the
    probability :math:`\sigma(x_j)` of a person (Song et al.), or :math:`x_j` itself (Lin,
    Wan and Chan, ICLR 2025, eq. 30), which does not saturate.

    Args:
        proposals: ``(R, 2)`` positions ``(x, y)`` in input pixels.
        logits: ``(R, 2)`` logits of background and person.
        points: ``(m, 2)`` annotated positions in input pixels.
        score: See :class:`HungarianMatcher`.
        distance_weight: :math:`w_d`, see :class:`HungarianMatcher`.
        score_weight: :math:`w_s`, see :class:`HungarianMatcher`.

    Returns:
        ``(m, R)`` costs.
    """
    person = logits[:, 1] - logits[:, 0]
    if score == 'probability':
        person = person.sigmoid()
    # The way through a matrix product would lose the small distances far from the origin.
    distance = torch.cdist(points, proposals, compute_mode='donot_use_mm_for_euclid_dist')
    return distance_weight * distance - score_weight * person


@TASK_UTILS.register_module()
class HungarianMatcher:
    """Match points with proposals one to one, at the least sum of :func:`matching_cost`.

    Every point gets a proposal of its own; of more points than proposals only as many as there are
    proposals get one, those for which the sum is least. Without points nothing is matched.

    The costs are computed on the device of the proposals, and the assignment is solved on the host.

    Args:
        score: ``'probability'`` (P2PNet) or ``'logit'`` (its variant in Lin, Wan and Chan, ICLR
            2025), see :func:`matching_cost`. Defaults to ``'probability'``.
        distance_weight: Weight of the distance, per input pixel. Defaults to 0.05.
        score_weight: Weight of the score. Defaults to 1.0.

    Raises:
        ValueError: Unknown score.

    Examples:
        >>> proposals = torch.tensor([[9.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
        >>> points = torch.tensor([[0.0, 0.0], [8.0, 0.0]])
        >>> HungarianMatcher()(proposals, torch.zeros(3, 2), points)
        (tensor([0, 1]), tensor([1, 0]))
    """

    def __init__(
        self,
        score: str = 'probability',
        distance_weight: float = 0.05,
        score_weight: float = 1.0,
    ) -> None:
        check_choice(self, SCORES, score=score)
        self.score = score
        self.distance_weight = distance_weight
        self.score_weight = score_weight

    @torch.no_grad()
    def __call__(self, proposals: Tensor, logits: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Match the points of one image.

        Args:
            proposals: ``(R, 2)`` positions ``(x, y)`` in input pixels, float32 or float64.
            logits: ``(R, 2)`` logits of background and person, of the same dtype.
            points: ``(m, 2)`` annotated positions, of the same dtype.

        Returns:
            Indices of the matched points and of their proposals, int64 ``(min(m, R),)`` each, on
            the device of the proposals.

        Raises:
            ValueError: A cost is not finite.
        """
        cost = matching_cost(
            proposals, logits, points, self.score, self.distance_weight, self.score_weight
        )
        pairs = assign([cost])
        if pairs is None:
            raise ValueError(
                'HungarianMatcher: proposals, logits and points must be finite, but got '
                f'{int((~cost.isfinite()).sum())} of {cost.numel()} costs that are not'
            )
        return pairs[0]
