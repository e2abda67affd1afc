"""Points of LSC-CNN (Sam et al.: *Locate, Size and Count*, TPAMI 2020)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmcrowd.models.localizers.box_nms import BoxNMS
from mmcrowd.models.localizers.checks import check_density, take_source
from mmcrowd.ops.box_kinds import BOX_SIZES
from mmcrowd.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ScaleBoxNMS:
    """Take the best box of all scales at every cell, and of those that overlap the best.

    At a scale a cell has the box of the class with the largest probability, which is its score; it
    has none if this is the background. The boxes of all scales go through :class:`BoxNMS`, where a
    box that lies in another one overlaps it wholly.

    Args:
        overlap: Share of overlap, intersection over union, above which the box of the lower score
            is left out. Defaults to 0.21, that of ShanghaiTech A.
        sizes: Sides of the boxes in cells, ascending, the same number for each scale. Defaults to
            those of LSC-CNN.
        source: Output with the probabilities of all scales, see
            :class:`~mmcrowd.models.heads.LSCHead`. Defaults to ``'boxes'``.

    Raises:
        ValueError: The overlap is out of range, or the sizes are not positive and ascending.

    Examples:
        >>> boxes = torch.zeros(4, 1, 3)
        >>> boxes[:, 0] = torch.tensor([[0.1, 0.0, 0.0], [0.6, 0.0, 0.4], [0, 0, 0], [0.3, 1, 0.6]])
        >>> ScaleBoxNMS(sizes=(1, 2, 3))(dict(boxes=boxes), stride=2)
        (tensor([[0.5000, 0.5000]]), tensor([0.6000]))
    """

    def __init__(
        self, overlap: float = 0.21, sizes: Sequence[int] = BOX_SIZES, source: str = 'boxes'
    ):
        self.sizes = tuple(sizes)
        if not self.sizes or self.sizes[0] <= 0 or self.sizes != tuple(sorted(set(self.sizes))):
            raise ValueError(
                f'ScaleBoxNMS: sizes={self.sizes!r}, expected positive numbers, ascending'
            )
        self.source = source
        self.overlap = overlap
        self._nms(stride=1)  # sees that the overlap is in its range

    @torch.no_grad()
    def __call__(self, outputs: Mapping[str, Tensor], stride: int) -> tuple[Tensor, Tensor]:
        """Find the points of one image, on the host.

        Args:
            outputs: Outputs of the network for the image, of which ``source`` is taken, ``(S * c,
                h, w)`` probabilities of S scales, the finest first; the last of the c classes of
                a scale is the background.
            stride: Input pixels per cell.

        Returns:
            As :class:`BoxNMS`.

        Raises:
            KeyError: The outputs lack ``source``.
            ValueError: Its channels do not fit the sizes, or a value is not finite.
        """
        probability = take_source(outputs, self.source, self)
        check_density(probability.flatten(0, -2), stride, self)
        score, sides = self.best_boxes(probability)
        return self._nms(stride)(dict(score=score, sides=stride * sides), stride)

    def best_boxes(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Score and side in cells of the best box at every cell, twice ``(h, w)``, 0 for none.

        Of equal scores the finer scale has the box between the two coarsest, and the coarser one
        afterwards, as published.
        """
        channels, height, width = probability.shape
        scales = channels - len(self.sizes)
        if scales < 1 or channels % scales:
            raise ValueError(
                f'ScaleBoxNMS: {self.source!r} has {channels} channels, expected one for each of '
                f'{len(self.sizes)} sizes and one for the background of each scale'
            )
        sizes = probability.new_tensor(self.sizes).reshape(scales, -1)
        boxes = sizes.shape[1]
        score, sides = probability.new_zeros(2, height, width)
        best, kind = probability.reshape(scales, boxes + 1, height, width).max(1)
        for scale in reversed(range(scales)):
            value = torch.where(kind[scale] < boxes, best[scale], 0)
            better = value > score
            if scale == scales - 2:
                better = (value >= score) & (value > 0)
            score = torch.where(better, value, score)
            sides = torch.where(better, sizes[scale][kind[scale].clamp(max=boxes - 1)], sides)
        return score, sides

    def _nms(self, stride: int) -> BoxNMS:
        # A box reaches from its first to its last cell: so many pixels longer than their distance.
        return BoxNMS('sides', 1e-6, self.overlap, float(stride), True, source='score')
