"""Loss of LSC-CNN (Sam et al.: *Locate, Size and Count*, TPAMI 2020)."""

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmcrowd.ops.box_kinds import scale_classes
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, stack_maps

from .batch_ratio import batch_ratio
from .checks import take_output
from .output_loss import OutputLoss


@MODELS.register_module()
class GridWTALoss(OutputLoss):
    """Cross-entropy of the boxes at several scales, of each scale where it is worst.

    It takes ``logits`` from the outputs, of :class:`~mmcrowd.models.heads.LSCHead`, and
    ``box_kind`` from the ``gt_maps`` of the samples, which
    :class:`~mmcrowd.datasets.transforms.BoxKinds` makes. A head is a box of one scale only, and
    background at the others.

    The maps of the coarsest scale are one part, those of the next are cut into 2 x 2 parts, then 4
    x 4, and so on. The loss of a part is the mean over its cells, weighted with the weights of
    their classes, in all images of the batch together; only the part with the largest loss counts
    (grid winner-take-all). As published, the winner is that of the whole batch, of all processes
    together.

    Args:
        class_weights: For each scale, the finest first, positive weights of its boxes and of the
            background, for :func:`~mmcrowd.datasets.box_histogram.class_weights`. Defaults to None,
            1 for all.

    Raises:
        ValueError: A weight is not positive, or the rows have different lengths.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> sample = CrowdDataSample(gt_maps=PixelData(box_kind=torch.zeros(1, 4, 4).byte()))
        >>> logits = [torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 2, 2)]
        >>> GridWTALoss().loss(dict(logits=logits), [sample], stride=2)
        {'loss_stride_2': tensor(1.3863), 'loss_stride_4': tensor(1.3863)}
    """

    weights: Tensor | None  # of the classes of each scale

    def __init__(self, class_weights: Sequence[Sequence[float]] | None = None):
        super().__init__()
        weights = None
        if class_weights is not None:
            rows = [list(row) for row in class_weights]
            if len({len(row) for row in rows}) != 1 or not all(w > 0 for row in rows for w in row):
                raise ValueError(
                    f'GridWTALoss: class_weights={rows}, expected rows of one length, all positive'
                )
            weights = torch.tensor(rows)
        self.register_buffer('weights', weights, persistent=False)

    def loss(
        self, outputs: dict, data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_stride_S`` for every scale, S its input pixels per cell, see
        :class:`OutputLoss`.

        Raises:
            KeyError: There are no logits, or a sample has no ``box_kind``.
            ValueError: It has another size than the finest scale, there are weights for other
                scales or classes, or a side of the maps is not divided by the parts.
        """
        logits = [at_least_float32(x) for x in take_output(outputs, 'logits', self)]
        shape = (len(logits), logits[0].shape[1])
        weights = logits[0].new_ones(shape) if self.weights is None else self.weights.to(logits[0])
        if weights.shape != shape:
            raise ValueError(
                f'GridWTALoss: class_weights of {tuple(weights.shape)} scales and classes, but the '
                f'network has {shape}'
            )
        kinds = stack_maps(data_samples, 'box_kind', logits[0][:, :1], 'BoxKinds')[:, 0]
        losses = {}
        with torch.autocast(logits[0].device.type, enabled=False):
            for scale, (values, weight) in enumerate(zip(logits, weights, strict=True)):
                target = scale_classes(kinds, scale, boxes=shape[1] - 1)
                parts = 2 ** (len(logits) - 1 - scale)
                key = f'loss_stride_{stride * 2**scale}'
                losses[key] = largest_part(values, target, weight, parts)
        return losses


def largest_part(logits: Tensor, target: Tensor, weight: Tensor, parts: int) -> Tensor:
    """Weighted cross-entropy of the part of a grid where it is largest.

    Args:
        logits: ``(N, c, h, w)``.
        target: ``(N, h, w)`` classes, int64.
        weight: ``(c,)``, positive.
        parts: Parts of a side; the grid has this many rows and columns.

    Returns:
        Scalar, the weighted mean over the cells of the part in all images.

    Raises:
        ValueError: ``parts`` does not divide both sides.
    """
    number, height, width = target.shape
    if height % parts or width % parts:
        raise ValueError(
            f'GridWTALoss: maps of {height}x{width} cells cannot be cut into {parts}x{parts} '
            'parts; the sides of the crops must be multiples of size_divisor of the head'
        )
    error = -logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    cell_weight = weight[target]
    cut = (number, parts, height // parts, parts, width // parts)
    total, mass = (x.reshape(cut).sum((0, 2, 4)) for x in (error * cell_weight, cell_weight))
    # The smallest mass is that of a part of one cell.
    means = batch_ratio(total, mass, floor=torch.finfo(mass.dtype).tiny).flatten()
    values = means.detach().clone()
    all_reduce(values)
    # The first of equal ones: their mean, the gradient of max(), would train them all.
    return means.take(values.argmax())
