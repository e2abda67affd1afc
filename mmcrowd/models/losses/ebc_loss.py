"""Loss of enhanced blockwise classification (Ma, Sanchez and Guha: *CLIP-EBC: CLIP Can Count
Accurately through Enhanced Blockwise Classification*, arXiv 2403.09281)."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from mmcrowd.registry import MODELS

from .block_loss import BlockLoss


@MODELS.register_module()
class EBCLoss(BlockLoss):
    """Loss of a counter with a :class:`~mmcrowd.models.heads.EBCHead`.

    It takes ``bin_logits`` and ``density`` from the outputs: a cross-entropy of the bins, and terms
    of the expected counts. The default weights are those of DMCount-EBC, for one image; its program
    adds the transport term up over the N images of a batch, so a config has ``ot_weight=0.1 * N``.
    Its other settings are ``count_weight=ot_weight=tv_weight=0`` with ``mae_weight=1`` or
    ``mse_weight=1``.

    Args:
        bins: Lowest count of each bin, ascending from 0; the last one has no upper end.
        ce_weight: Weight of the cross-entropy, summed over the blocks. Defaults to 1.0.
        count_weight: Weight of the absolute error of the count. Defaults to 1.0.
        ot_weight: Weight of the transport term of
            :func:`~mmcrowd.models.losses.dm_count_loss.dm_count_loss`. Defaults to 0.1.
        tv_weight: Weight of its total variation term. Defaults to 0.01.
        mae_weight: Weight of the absolute errors of the blocks, summed. Defaults to 0.0.
        mse_weight: Weight of their squared errors, summed. Defaults to 0.0.
        one_per_pixel: Whether points on one pixel count once in the blocks, as in the published
            program, a host step; the error of the count and the transport term take all points.
            Defaults to False.

    Raises:
        ValueError: The bins are not as described, a weight is negative, or all are 0.

    Examples:
        Two blocks, of which the network knows nothing, and one person.

        >>> import torch
        >>> from mmengine.structures import InstanceData
        >>> from mmcrowd.structures import CrowdDataSample
        >>> density = torch.full((1, 1, 1, 2), 0.5)
        >>> outputs = dict(bin_logits=torch.zeros(1, 2, 1, 2), density=density)
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.tensor([[9.0, 3.0]])))
        >>> terms = EBCLoss(bins=[0, 1]).loss(outputs, [sample], stride=8)
        >>> {name: round(term.item(), 4) for name, term in terms.items() if name != 'loss_ot'}
        {'loss_ce': 1.3863, 'loss_count': 0.0, 'loss_tv': 0.01}
    """

    def __init__(
        self,
        bins: Sequence[int],
        ce_weight: float = 1.0,
        count_weight: float = 1.0,
        ot_weight: float = 0.1,
        tv_weight: float = 0.01,
        mae_weight: float = 0.0,
        mse_weight: float = 0.0,
        one_per_pixel: bool = False,
    ):
        bins = list(bins)
        if len(bins) < 2 or bins[0] != 0 or bins != sorted(set(bins)):
            raise ValueError(f'EBCLoss: bins must be 0 and ascend from there, but got {bins}')
        weights = dict(
            ce=ce_weight,
            count=count_weight,
            ot=ot_weight,
            tv=tv_weight,
            mae=mae_weight,
            mse=mse_weight,
        )
        super().__init__(bins, weights, one_per_pixel)

    def own_terms(
        self, outputs: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Callable[[], Tensor]]:
        """``mae`` and ``mse``, see the base class."""
        difference = outputs['density'] - counts
        return dict(
            mae=lambda: difference.abs().sum((1, 2, 3)),
            mse=lambda: difference.square().sum((1, 2, 3)),
        )
