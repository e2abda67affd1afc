"""Loss of CLTR (Liang, Xu and Bai: *An End-to-End Transformer Model for Crowd Localization*, ECCV
2022)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.checks import check_at_least, check_not_negative, check_positive
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .assignment import assign, unmatched
from .batch_ratio import batch_ratio
from .checks import may_overflow, take_output
from .output_loss import OutputLoss
from .point_spacing import mean_neighbour_distance

EPSILON = 1e-8  # inside of the logarithms of the matching cost


def focal_cost(logit: Tensor, alpha: float, gamma: float) -> Tensor:
    r"""Change of the focal loss of a proposal when it is matched.

    .. math::
        -\alpha (1 - p)^\gamma \log(p + \epsilon) + (1 - \alpha) p^\gamma \log(1 - p + \epsilon)

    Args:
        logit: Logits of p, of any shape.
        alpha: Share of the positive class.
        gamma: Exponent.

    Returns:
        Costs of this shape.
    """
    p = logit.sigmoid()
    positive = -alpha * (1 - p) ** gamma * (p + EPSILON).log()
    negative = -(1 - alpha) * p**gamma * (1 - p + EPSILON).log()
    return positive - negative


def focal_loss(logit: Tensor, target: Tensor, alpha: float, gamma: float) -> Tensor:
    r"""Focal loss (Lin et al.: *Focal Loss for Dense Object Detection*, ICCV 2017), term by term.

    .. math::
        -\alpha_t (1 - p_t)^\gamma \log p_t

    with :math:`p_t = p, \alpha_t = \alpha` for the target 1 and :math:`1 - p, 1 - \alpha` for 0.

    Args:
        logit: Logits of p, of any shape.
        target: 0 or 1, of the same shape.
        alpha: Share of the positive class.
        gamma: Exponent.

    Returns:
        Losses of this shape.

    Examples:
        >>> focal_loss(torch.zeros(2), torch.tensor([0.0, 1.0]), 0.25, 2)
        tensor([0.1300, 0.0433])
    """
    p = logit.sigmoid()
    missed = torch.where(target > 0, 1 - p, p)
    share = torch.where(target > 0, alpha, 1 - alpha).to(logit)
    entropy = F.binary_cross_entropy_with_logits(logit, target, reduction='none')
    return share * missed**gamma * entropy


@MODELS.register_module()
class CLTRLoss(OutputLoss):
    r"""Loss of the proposals of all layers of the decoder, each with a matching of its own.

    A proposal and a person are vectors of three numbers, row, column and the mean distance to the
    ``neighbours`` nearest other persons of the crop (fewer, if there are fewer; 0 for one alone),
    each in units of ``scale`` pixels. They are matched at ``class_weight`` times
    :func:`focal_cost` plus ``point_weight`` times the L1 distance of the vectors.

    In each layer the loss is ``class_weight`` times the sum of the focal losses of both scores of
    all proposals plus ``point_weight`` times the sum of the L1 distances of the matched ones, both
    divided by the number of persons in the batch (of all processes), or by 1. The first score is
    always to be 0, the second is to be 1 for a matched proposal.

    Of more persons than proposals only as many as there are proposals are matched.

    Args:
        class_weight: Defaults to 2.
        point_weight: Defaults to 5.
        alpha: Of the focal loss. Defaults to 0.25.
        gamma: Of the focal loss. Defaults to 2.
        neighbours: Defaults to 3.
        scale: Input pixels per unit of positions; the side of the training crops in the published
            program. Defaults to 256.

    Raises:
        ValueError: A weight is negative, or the scale not positive.

    Examples:
        Of two undecided proposals the first, at 5 pixels, is matched.

        >>> from mmengine.structures import InstanceData
        >>> points = torch.tensor([[[3.0, 4.0], [90.0, 0.0]]])
        >>> outputs = dict(points=points, logits=torch.zeros(1, 2, 2), spacing=torch.zeros(1, 2))
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.zeros(1, 2)))
        >>> CLTRLoss().loss(dict(outputs, auxiliary=[]), [sample], stride=32)
        {'loss_classification': tensor(0.8664), 'loss_point': tensor(0.1367)}
    """

    host_step = True

    def __init__(
        self,
        class_weight: float = 2.0,
        point_weight: float = 5.0,
        alpha: float = 0.25,
        gamma: float = 2.0,
        neighbours: int = 3,
        scale: float = 256.0,
    ) -> None:
        super().__init__()
        check_not_negative(
            self, class_weight=class_weight, point_weight=point_weight, alpha=alpha, gamma=gamma
        )
        check_at_least(self, 1, neighbours=neighbours)
        check_positive(self, scale=scale)
        self.class_weight = class_weight
        self.point_weight = point_weight
        self.alpha = alpha
        self.gamma = gamma
        self.neighbours = neighbours
        self.scale = scale

    def loss(
        self, outputs: dict, data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch, in float32 (float64 for float64) under autocast, too.

        Args:
            outputs: ``points``, ``logits``, ``spacing`` and ``auxiliary`` of
                :class:`~mmcrowd.models.heads.CLTRHead`.
            data_samples: See the base class.
            stride: Not used.

        Returns:
            ``loss_classification`` and ``loss_point``, weighted and summed over the layers. NaN if
            the network's numbers are not finite under float16 or autocast.

        Raises:
            KeyError: An output is not there.
            ValueError: A point, or outside of mixed precision an output, is not finite.
        """
        names = ('points', 'logits', 'spacing', 'auxiliary')
        taken = {name: take_output(outputs, name, self) for name in names}
        layers = [*taken.pop('auxiliary'), taken]
        overflows = may_overflow(taken['logits'])
        with torch.autocast(taken['logits'].device.type, enabled=False):
            logits = torch.stack([layer['logits'] for layer in layers])
            vectors = torch.stack([self._vectors(**layer) for layer in layers])
            truths = [
                self._truth(sample.gt_instances.points.to(vectors)) for sample in data_samples
            ]
            matches = self.match(vectors, logits, truths)
            overflow: Tensor | float = 0.0
            if matches is None:
                if not overflows:
                    raise ValueError(
                        'CLTRLoss: points, and outside of mixed precision proposals and logits, '
                        'must be finite'
                    )
                # The terms are made all the same: other processes wait for what this one adds.
                matches = [unmatched(layer) for layer in logits]
                overflow = (logits.sum() + vectors.sum()) * torch.nan
            classification, distance = self.terms(vectors, logits, truths, matches)
        return dict(
            loss_classification=self.class_weight * classification.sum() + overflow,
            loss_point=self.point_weight * distance.sum() + overflow,
        )

    def match(
        self, vectors: Tensor, logits: Tensor, truths: list[Tensor]
    ) -> list[list[tuple[Tensor, Tensor]]] | None:
        """Match persons with proposals in every layer.

        Args:
            vectors: ``(L, N, R, 3)`` proposals of all layers.
            logits: ``(L, N, R, 2)``.
            truths: For each image ``(m_i, 3)``.

        Returns:
            For each layer and image the indices of the matched persons and of their proposals; None
            if a number is not finite.
        """
        vectors, logits = vectors.detach(), logits.detach()
        score = self.class_weight * focal_cost(logits[..., 1], self.alpha, self.gamma)
        costs = [
            self.point_weight * torch.cdist(truth.expand(len(vectors), -1, -1), vectors[:, i], p=1)
            + score[:, i, None]
            for i, truth in enumerate(truths)
        ]
        pairs = assign([cost[layer] for layer in range(len(vectors)) for cost in costs])
        if pairs is None:
            return None
        return [pairs[start : start + len(truths)] for start in range(0, len(pairs), len(truths))]

    def terms(
        self,
        vectors: Tensor,
        logits: Tensor,
        truths: list[Tensor],
        matches: list[list[tuple[Tensor, Tensor]]],
    ) -> tuple[Tensor, Tensor]:
        """Both terms, without weights, for given matches.

        Args:
            vectors: ``(L, N, R, 3)`` proposals of all layers.
            logits: ``(L, N, R, 2)``.
            truths: For each image ``(m_i, 3)``.
            matches: See :meth:`match`.

        Returns:
            ``(L,)`` focal losses and ``(L,)`` distances.
        """
        layer, image, proposal, truth = [], [], [], []
        for i, pairs in enumerate(matches):
            for j, (row, column) in enumerate(pairs):
                layer.append(torch.full_like(column, i))
                image.append(torch.full_like(column, j))
                proposal.append(column)
                truth.append(truths[j][row])
        place = torch.cat(layer), torch.cat(image), torch.cat(proposal)
        target = torch.zeros_like(logits)
        target[(*place, torch.ones_like(place[0]))] = 1
        focal = focal_loss(logits, target, self.alpha, self.gamma).sum((1, 2, 3))
        distance = (vectors[place] - torch.cat(truth)).abs().sum(1)
        distances = focal.new_zeros(len(matches)).index_add(0, place[0], distance)
        number = focal.new_tensor(sum(map(len, truths)))
        return batch_ratio(focal, number, floor=1), batch_ratio(distances, number, floor=1)

    def _vectors(self, points: Tensor, spacing: Tensor, **_) -> Tensor:
        """``(N, R, 3)``: column, row and spacing of proposals."""
        return torch.cat((points / self.scale, spacing[..., None]), -1)

    def _truth(self, points: Tensor) -> Tensor:
        """``(m, 3)``: column, row and spacing of points."""
        spacing = mean_neighbour_distance(points, self.neighbours)
        return torch.cat((points, spacing[:, None]), 1) / self.scale
