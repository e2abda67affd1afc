"""Zero-inflated Poisson loss (Ma, Sanchez and Guha: *ZIP: Scalable Crowd Counting via Zero-Inflated
Poisson Modeling*, arXiv 2506.19955)."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.registry import MODELS

from .block_loss import BlockLoss

# Joins probabilities and rates before their logarithm. It is part of the published loss: a block of
# which the network is sure and wrong costs at most 18, and then has no gradient.
GUARD = 1e-8


def zip_nll(pi_logits: Tensor, rate: Tensor, counts: Tensor) -> Tensor:
    r"""Negative log-likelihood of zero-inflated Poisson counts, without the constant log y!.

    With ``GUARD`` added to each argument of a logarithm:

    .. math::
        -\log(\pi + (1 - \pi) e^{-\lambda}) \text{ for } y = 0, \qquad
        -\log(1 - \pi) + \lambda - y \log \lambda \text{ otherwise}

    Args:
        pi_logits: ``(N, 2, h, w)``, channel 0 for structurally empty.
        rate: ``(N, 1, h, w)`` :math:`\lambda`, not negative.
        counts: ``(N, 1, h, w)`` y, whole numbers.

    Returns:
        ``(N,)``, the sum over the blocks of each image.
    """
    empty, populated = pi_logits.log_softmax(1).split(1, 1)
    is_zero = counts == 0
    probability = torch.where(is_zero, torch.logaddexp(empty, populated - rate), populated)
    likelihood = torch.logaddexp(probability, torch.full_like(probability, math.log(GUARD)))
    poisson = torch.where(is_zero, 0, counts * (rate + GUARD).log() - rate)
    return -(likelihood + poisson).sum((1, 2, 3))


def multiscale_mae(density: Tensor, counts: Tensor, scales: Sequence[int]) -> Tensor:
    """Absolute error of the means over squares of several sizes.

    The weight of a scale is its share of the largest one: 1/4, 1/2 and 1 for 1, 2 and 4 blocks. As
    published, blocks in the last rows and columns that fill no whole square are left out.

    Args:
        density: ``(N, 1, h, w)``.
        counts: ``(N, 1, h, w)``.
        scales: Sides of the squares, in blocks. One that exceeds the map adds nothing.

    Returns:
        ``(N,)``, the weighted sum over the squares of each image.
    """
    difference = density - counts
    total = difference.new_zeros(len(difference))
    for scale in scales:
        if scale <= min(difference.shape[2:]):
            pooled = F.avg_pool2d(difference, scale)
            total = total + scale / max(scales) * pooled.abs().sum((1, 2, 3))
    return total


@MODELS.register_module()
class ZIPLoss(BlockLoss):
    """Loss of a counter with a :class:`~mmcrowd.models.heads.ZIPHead`.

    It takes ``pi_logits``, ``bin_logits``, ``rate`` and ``density`` from the outputs. The default
    weights are those of the published training. Its other settings are ``ce_weight=mae_weight=0``
    for the likelihood and the count alone, and ``mae_weight=0, ot_weight=0.1 * N, tv_weight=0.01``
    for the terms of DM-Count in place of the multi-scale error; the published program adds the
    transport term up over the N images of a batch.

    Args:
        bins: Lowest count of each bin, ascending, the first ones 0 and 1: the first bin are the
            empty blocks, the last one has no upper end.
        nll_weight: Weight of :func:`zip_nll`. Defaults to 1.0.
        ce_weight: Weight of :func:`~.block_terms.bin_cross_entropy`. Defaults to 1.0.
        mae_weight: Weight of :func:`multiscale_mae`. Defaults to 1.0.
        count_weight: Weight of the absolute error of the count. Defaults to 1.0.
        ot_weight: Weight of the transport term of :func:`~.dm_count_loss.dm_count_loss`. Defaults
            to 0.0.
        tv_weight: Weight of its total variation term. Defaults to 0.0.
        scales: See :func:`multiscale_mae`. Defaults to (1, 2, 4).
        one_per_pixel: See :func:`~.block_terms.block_counts`, a host step; the error of the count
            and the transport term take all points. Defaults to False.

    Raises:
        ValueError: The bins or scales are not as described, a weight is negative, or all are 0.

    Examples:
        A block of which the network is sure that nobody is there, and one with a person.

        >>> from mmengine.structures import InstanceData
        >>> from mmcrowd.structures import CrowdDataSample
        >>> pi_logits = torch.tensor([[[[9.0, 0.0]], [[0.0, 9.0]]]])
        >>> outputs = dict(
        ...     pi_logits=pi_logits,
        ...     bin_logits=torch.zeros(1, 1, 1, 2),
        ...     rate=torch.ones(1, 1, 1, 2),
        ...     density=pi_logits.softmax(1)[:, 1:],
        ... )
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.tensor([[20.0, 7.0]])))
        >>> ZIPLoss(bins=[0, 1], mae_weight=0).loss(outputs, [sample], stride=16)
        {'loss_nll': tensor(1.0002), 'loss_ce': tensor(0.), 'loss_count': tensor(0.)}
    """

    sources = ('pi_logits', 'bin_logits', 'rate', 'density')

    def __init__(
        self,
        bins: Sequence[int],
        nll_weight: float = 1.0,
        ce_weight: float = 1.0,
        mae_weight: float = 1.0,
        count_weight: float = 1.0,
        ot_weight: float = 0.0,
        tv_weight: float = 0.0,
        scales: Sequence[int] = (1, 2, 4),
        one_per_pixel: bool = False,
    ):
        bins = list(bins)
        if bins[:2] != [0, 1] or bins != sorted(set(bins)):
            raise ValueError(f'ZIPLoss: bins must be 0, 1 and ascend from there, but got {bins}')
        if not scales or min(scales) < 1:
            raise ValueError(f'ZIPLoss: scales must be positive numbers, but got {tuple(scales)}')
        weights = dict(
            nll=nll_weight,
            ce=ce_weight,
            mae=mae_weight,
            count=count_weight,
            ot=ot_weight,
            tv=tv_weight,
        )
        super().__init__(bins[1:], weights, one_per_pixel)
        self.scales = tuple(scales)

    def own_terms(
        self, outputs: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Callable[[], Tensor]]:
        """``nll`` and ``mae``, see the base class."""
        return dict(
            nll=lambda: zip_nll(outputs['pi_logits'], outputs['rate'], counts),
            mae=lambda: multiscale_mae(outputs['density'], counts, self.scales),
        )
