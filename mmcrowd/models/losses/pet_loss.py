"""Loss of PET (Liu, Lu, Cao and Liu: *Point-Query Quadtree for Crowd Counting, Localization, and
More*, ICCV 2023)."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.logging import MessageHub
from torch import Tensor

from mmcrowd.ops.checks import check_not_negative, check_positive
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .assignment import assign, unmatched
from .batch_ratio import batch_ratio
from .checks import may_overflow, take_output
from .hungarian_matcher import matching_cost
from .output_loss import OutputLoss
from .point_spacing import mean_neighbour_distance

LONE = 999.0  # spacing of an image with fewer than two points, in pixels, as in the program
EPSILON = 1e-5


def split_loss(split_map: Tensor, is_crowded: Tensor) -> Tensor:
    r"""Loss of the splitter.

    With s the probabilities of the regions of an image to be crowded it is

    .. math::
        1 - \text{mean} \max (1 - s) + 1 - \text{mean}_{\text{crowded}} \max s

    the first mean over all images, the second over the crowded ones (of all processes): every image
    has a region that is not crowded, and every crowded image one that is. Without a crowded image
    the second half is 0.

    Args:
        split_map: ``(N, h, w)`` probabilities s, NaN in regions that are padding.
        is_crowded: ``(N,)`` bool.

    Returns:
        A scalar.

    Examples:
        >>> split_loss(torch.tensor([[[0.25, 0.75]]]), torch.tensor([True]))
        tensor(0.5000)
    """
    absent = split_map.isnan()
    split = split_map.masked_fill(absent, 0).flatten(1)
    calm = (1 - split_map).masked_fill(absent, 0).flatten(1).amax(1)
    crowded = is_crowded.to(split)
    dense = batch_ratio((crowded * (1 - split.amax(1))).sum(), crowded.sum(), floor=1)
    return 1 - calm.mean() + dense


def crowded_half(spacing: Tensor) -> Tensor:
    """Which images belong to the half of the batch, of all processes, with the smaller spacings.

    Args:
        spacing: ``(N,)`` spacing of the images of this process; N is the same in all of them.

    Returns:
        ``(N,)`` bool. Of an odd number the half is rounded down.

    Examples:
        >>> crowded_half(torch.tensor([3.0, 1.0, 2.0]))
        tensor([False,  True, False])
    """
    # The order of images that samplers deal out in turn, for images of the same spacing.
    everywhere = torch.stack(all_gather(spacing), 1)
    is_crowded = torch.zeros_like(everywhere, dtype=torch.bool).flatten()
    order = everywhere.flatten().argsort(stable=True)
    is_crowded[order[: len(order) // 2]] = True
    return is_crowded.view_as(everywhere)[:, get_rank()]


@MODELS.register_module()
class PETLoss(OutputLoss):
    r"""Loss of the two sets of proposals and of the splitter.

    In each set, sparse and dense, the points of an image are matched with the proposals, at 0.05
    times the distance in pixels minus the probability of a person. The cross-entropy is a mean by
    weight, 1 for a matched proposal and ``background_weight`` for the others. The smooth L1
    distance of matched proposals, in units of ``scale`` pixels, is a sum over both coordinates.

    In the first ``warmup_epochs`` epochs the terms of a set are means over the batch, the
    cross-entropy over its proposals and the distance over its points. From then on the images of a
    batch are halved by the mean distance of their points to their nearest neighbours. The
    proposals in the regions of the set have one mean for the crowded half and one for the
    other, those elsewhere have one for the whole batch, and these three are added. Dense proposals
    are in their region where its split value is above a half, sparse ones everywhere but where it
    is exactly 1. The mean distance of a half is over its matched proposals in the region, divided
    by the number of all matched proposals of the half. :func:`split_loss` is added, for which an
    image is crowded if the mean distance of its points is below ``crowded_below``.

    The batch is that of all processes, each of which has as many images. (In the published program
    each process halves its own images, and only the number of points is that of all.)

    Args:
        point_weight: Weight of the distances. Defaults to 5.
        background_weight: Weight of the cross-entropy of unmatched proposals. Defaults to 0.5.
        split_weight: Weight of the loss of the splitter. Defaults to 0.1.
        warmup_epochs: Defaults to 5.
        crowded_below: In input pixels. Defaults to 16.
        scale: Input pixels per unit of the distances; the side of the training crops in the
            published program. Defaults to 256.

    Raises:
        ValueError: A weight is negative, or the scale not positive.

    Examples:
        In both sets, of two undecided proposals the first, at 5 pixels, is matched.

        >>> from mmengine.structures import InstanceData
        >>> points = torch.tensor([[[3.0, 4.0], [90.0, 0.0]]])
        >>> part = dict(points=points, logits=torch.zeros(1, 2, 2))
        >>> part.update(region=torch.ones(1, 2), present=torch.ones(1, 2, dtype=torch.bool))
        >>> outputs = dict(sparse=part, dense=part, split_map=torch.full((1, 1, 1), 0.5))
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.zeros(1, 2)))
        >>> sum(PETLoss().loss(outputs, [sample], stride=4).values())
        tensor(1.3882)
    """

    host_step = True

    def __init__(
        self,
        point_weight: float = 5.0,
        background_weight: float = 0.5,
        split_weight: float = 0.1,
        warmup_epochs: int = 5,
        crowded_below: float = 16.0,
        scale: float = 256.0,
    ) -> None:
        super().__init__()
        check_not_negative(
            self,
            point_weight=point_weight,
            background_weight=background_weight,
            split_weight=split_weight,
            warmup_epochs=warmup_epochs,
            crowded_below=crowded_below,
        )
        check_positive(self, scale=scale)
        self.point_weight = point_weight
        self.background_weight = background_weight
        self.split_weight = split_weight
        self.warmup_epochs = warmup_epochs
        self.crowded_below = crowded_below
        self.scale = scale

    def loss(
        self, outputs: dict, data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch, in float32 (float64 for float64) under autocast, too.

        Args:
            outputs: ``sparse``, ``dense`` and ``split_map`` of
                :class:`~mmcrowd.models.heads.PETHead`.
            data_samples: See the base class.
            stride: Not used.

        Returns:
            ``loss_classification_sparse``, ``loss_point_sparse``, the same of the dense set, and
            ``loss_split``, 0 in the warm-up; weighted. NaN if the network's numbers are not
            finite under float16 or autocast.

        Raises:
            KeyError: An output is not there.
            ValueError: A point, or outside of mixed precision a proposal or logit, is not finite.
        """
        sets = {name: take_output(outputs, name, self) for name in ('sparse', 'dense')}
        split_map = take_output(outputs, 'split_map', self)
        device = split_map.device
        overflows = may_overflow(*(part['logits'] for part in sets.values()))
        with torch.autocast(device.type, enabled=False):
            points = [sample.gt_instances.points.to(device) for sample in data_samples]
            matches = self.match(sets, points)
            overflow: Tensor | float = 0.0
            if matches is None:
                if not overflows:
                    raise ValueError(
                        'PETLoss: points, and outside of mixed precision proposals and logits, '
                        'must be finite'
                    )
                # The terms are made all the same: other processes wait for what this one adds.
                matches = [unmatched(part['logits']) for part in sets.values()]
                overflow = sum(part['logits'].sum() for part in sets.values()) * torch.nan
            epoch = MessageHub.get_current_instance().get_info('epoch', 0)
            terms = self.terms(sets, split_map, points, matches, epoch)
            return {name: term + overflow for name, term in terms.items()}

    def match(
        self, sets: dict[str, dict[str, Tensor]], points: list[Tensor]
    ) -> list[list[tuple[Tensor, Tensor]]] | None:
        """Match points with proposals.

        Args:
            sets: For each set its ``points``, ``logits`` and ``present``.
            points: For each image ``(m_i, 2)`` positions in input pixels.

        Returns:
            For each set and image the indices of the matched points and of their proposals; None
            if a number is not finite.
        """
        costs, present = [], []
        for part in sets.values():
            for i, truth in enumerate(points):
                proposals = part['points'][i].detach()
                image = proposals, part['logits'][i].detach(), truth.to(proposals)
                costs.append(matching_cost(*image, 'probability', 0.05, 1))
                present.append(part['present'][i])
        pairs = assign(costs, present)
        if pairs is None:
            return None
        return [pairs[start : start + len(points)] for start in range(0, len(pairs), len(points))]

    def terms(
        self,
        sets: dict[str, dict[str, Tensor]],
        split_map: Tensor,
        points: list[Tensor],
        matches: list[list[tuple[Tensor, Tensor]]],
        epoch: int,
    ) -> dict[str, Tensor]:
        """All terms, for given matches; see :meth:`loss`."""
        spacing = split_map.new_tensor([LONE] * len(points))
        for i, truth in enumerate(points):
            if len(truth) > 1:
                spacing[i] = mean_neighbour_distance(truth.to(split_map), 1).mean()
        losses = {}
        is_crowded = crowded_half(spacing)
        for (name, part), pairs in zip(sets.items(), matches, strict=True):
            groups = None
            if epoch >= self.warmup_epochs:
                region = part['region'] > (0.0 if name == 'sparse' else 0.5)
                crowded = is_crowded[:, None].expand_as(region)
                groups = [
                    (region & ~crowded, ~crowded),
                    (region & crowded, crowded),
                    (~region, ~region),
                ]
            classification, distance = self._set_terms(part, points, pairs, groups)
            losses[f'loss_classification_{name}'] = classification
            losses[f'loss_point_{name}'] = self.point_weight * distance
        # With a weight of 0 the splitter has gradients all the same, which parallel training needs.
        weight = self.split_weight if epoch >= self.warmup_epochs else 0.0
        losses['loss_split'] = weight * split_loss(split_map, spacing < self.crowded_below)
        return losses

    def _set_terms(
        self,
        part: dict[str, Tensor],
        points: list[Tensor],
        pairs: list[tuple[Tensor, Tensor]],
        groups: list[tuple[Tensor, Tensor]] | None,
    ) -> tuple[Tensor, Tensor]:
        """Both terms of one set, as sums over groups ``(N, R)`` of its proposals, each with those
        over whose matched ones the distance is a mean."""
        logits = part['logits']
        image = torch.cat([torch.full_like(column, i) for i, (_, column) in enumerate(pairs)])
        proposal = torch.cat([column for _, column in pairs])
        truth = torch.cat([p[row] for p, (row, _) in zip(points, pairs, strict=True)])
        target = torch.zeros(logits.shape[:2], dtype=torch.long, device=logits.device)
        target[image, proposal] = 1
        entropy = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction='none')
        entropy = entropy.view_as(target)
        weight = torch.where(target > 0, 1.0, self.background_weight).to(logits) * part['present']
        matched = part['points'][image, proposal]
        distance = F.smooth_l1_loss(
            matched / self.scale, truth.to(matched) / self.scale, reduction='none'
        ).sum(1)
        if groups is None:
            number = logits.new_tensor(sum(map(len, points)))
            return _mean(entropy, weight), batch_ratio(distance.sum(), number, floor=1)
        classification = distances = logits.new_zeros(())
        for group, whole in groups:
            classification = classification + _mean(entropy, weight * group)
            inside, of_all = (g[image, proposal].to(distance) for g in (group, whole))
            number = of_all.sum() + EPSILON / get_world_size()
            distances = distances + batch_ratio((distance * inside).sum(), number, floor=EPSILON)
        return classification, distances


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean by weight, 0 if there is none."""
    return batch_ratio((values * weight).sum(), weight.sum(), floor=EPSILON)
