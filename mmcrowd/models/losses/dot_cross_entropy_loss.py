"""Cross-entropy of the pixels of heads, as in RAZNet (Liu, Weng and Mu, CVPR 2019)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.checks import check_positive
from mmcrowd.ops.grid import points_per_cell
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .batch_ratio import batch_ratio
from .checks import take_output
from .output_loss import OutputLoss


def plus_mask(points: Tensor, size: Sequence[int], stride: int) -> Tensor:
    """Cells of the points and the four beside each.

    Args:
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels; one outside the frame marks
            nothing.
        size: Height and width ``(h, w)`` in cells.
        stride: Input pixels per cell.

    Returns:
        ``(h, w)`` bool.

    Examples:
        >>> plus_mask(torch.tensor([[0.0, 0.0]]), (2, 3), 1).int()
        tensor([[1, 1, 0],
                [1, 0, 0]], dtype=torch.int32)
    """
    # A frame of one cell around the map takes the points outside of it; it is cut off again.
    framed = points_per_cell(points + stride, [side + 2 for side in size], stride) > 0
    dots = F.pad(framed[1:-1, 1:-1], (1, 1, 1, 1))
    up, down, left, right = dots[2:, 1:-1], dots[:-2, 1:-1], dots[1:-1, 2:], dots[1:-1, :-2]
    return dots[1:-1, 1:-1] | up | down | left | right


@MODELS.register_module()
class DotCrossEntropyLoss(OutputLoss):
    """Weighted cross-entropy between background and head, which is :func:`plus_mask` of the points.

    It takes ``logits`` ``(N, 2, h, w)`` of background and head from the outputs. The mean over all
    cells of the batch (of all processes) is weighted with the weights of their classes, as
    published.

    Args:
        head_weight: Weight of a cell of a head; one of the background has 1. Defaults to 100.0.

    Raises:
        ValueError: ``head_weight`` is not positive.

    Examples:
        >>> from mmengine.structures import InstanceData
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.zeros(1, 2)))
        >>> DotCrossEntropyLoss().loss(dict(logits=torch.zeros(1, 2, 4, 4)), [sample], stride=1)
        {'loss_ce': tensor(0.6931)}
    """

    weight: Tensor  # of background and head

    def __init__(self, head_weight: float = 100.0):
        super().__init__()
        check_positive(self, head_weight=head_weight)
        self.register_buffer('weight', torch.tensor([1.0, head_weight]), persistent=False)

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_ce``, see :class:`OutputLoss`.

        Raises:
            KeyError: There are no logits.
        """
        logits = at_least_float32(take_output(outputs, 'logits', self))
        points = [sample.gt_instances.points.to(logits) for sample in data_samples]
        target = torch.stack([plus_mask(p, logits.shape[2:], stride) for p in points]).long()
        weight = self.weight.to(logits)
        with torch.autocast(logits.device.type, enabled=False):
            error = F.cross_entropy(logits, target, weight, reduction='sum')
            # The floor is below any sum of weights.
            return dict(loss_ce=batch_ratio(error, weight[target].sum(), floor=1e-12))
