"""Loss of enhanced blockwise classification (Ma, Sanchez and Guha: *CLIP-EBC: CLIP Can Count
Accurately through Enhanced Blockwise Classification*, arXiv 2403.09281)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .block_terms import bin_cross_entropy, block_counts, total_variation, transport
from .checks import check_not_negative
from .output_loss import OutputLoss


@MODELS.register_module()
class EBCLoss(OutputLoss):
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

        >>> from mmengine.structures import InstanceData
        >>> density = torch.full((1, 1, 1, 2), 0.5)
        >>> outputs = dict(bin_logits=torch.zeros(1, 2, 1, 2), density=density)
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.tensor([[9.0, 3.0]])))
        >>> terms = EBCLoss(bins=[0, 1]).loss(outputs, [sample], stride=8)
        >>> {name: round(term.item(), 4) for name, term in terms.items() if name != 'loss_ot'}
        {'loss_ce': 1.3863, 'loss_count': 0.0, 'loss_tv': 0.01}
    """

    bins: Tensor

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
        super().__init__()
        bins = list(bins)
        if len(bins) < 2 or bins[0] != 0 or bins != sorted(set(bins)):
            raise ValueError(f'EBCLoss: bins must be 0 and ascend from there, but got {bins}')
        self.weights = dict(
            ce=ce_weight,
            count=count_weight,
            ot=ot_weight,
            tv=tv_weight,
            mae=mae_weight,
            mse=mse_weight,
        )
        check_not_negative(self, **{f'{name}_weight': w for name, w in self.weights.items()})
        if not any(self.weights.values()):
            raise ValueError('EBCLoss: all weights are 0, expected a positive one')
        self.one_per_pixel = one_per_pixel
        self.host_step = one_per_pixel
        self.register_buffer('bins', torch.tensor(bins), persistent=False)

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the terms whose weight is not 0, see :class:`OutputLoss`.

        Returns:
            ``loss_ce``, ``loss_count``, ``loss_ot``, ``loss_tv``, ``loss_mae``, ``loss_mse``.

        Raises:
            ValueError: The head predicts another number of bins.
        """
        logits, density = (
            outputs[key].to(torch.promote_types(outputs[key].dtype, torch.float32))
            for key in ('bin_logits', 'density')
        )
        if logits.shape[1] != len(self.bins):
            raise ValueError(
                f'EBCLoss: {len(self.bins)} bins, but the head predicts {logits.shape[1]}; its '
                'bin_centres need as many'
            )
        points = [sample.gt_instances.points.to(density) for sample in data_samples]
        with torch.autocast(density.device.type, enabled=False):
            size = tuple(density.shape[2:])
            counts = block_counts(points, size, stride, self.one_per_pixel)
            terms = {}
            if self.weights['ce']:
                terms['ce'] = bin_cross_entropy(logits, counts, self.bins)
            if self.weights['count']:
                number = torch.tensor([len(p) for p in points]).to(density, non_blocking=True)
                terms['count'] = (density.sum((1, 2, 3)) - number).abs()
            if self.weights['ot']:
                terms['ot'] = transport(density, points, stride)
            if self.weights['tv']:
                terms['tv'] = total_variation(density, counts, points)
            if self.weights['mae']:
                terms['mae'] = (density - counts).abs().sum((1, 2, 3))
            if self.weights['mse']:
                terms['mse'] = (density - counts).square().sum((1, 2, 3))
            return {
                f'loss_{name}': self.weights[name] * term.mean() for name, term in terms.items()
            }
