"""Squared error to a map that the loader has made."""

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_positive
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, stack_maps

from .checks import take_output
from .output_loss import OutputLoss


@MODELS.register_module()
class TargetMapLoss(OutputLoss):
    """Mean squared error of one output to one of the ``gt_maps`` of the samples.

    With it any map that a transform makes trains any counter, such as the inverse
    k-nearest-neighbour map of :class:`~mmcrowd.datasets.transforms.InverseNeighbourMap`. The one
    term is ``loss_map``.

    Args:
        target: Name of the map of the samples.
        source: Output of the network that is compared, ``(N, 1, h, w)``. Defaults to ``'map'``.
        weight: Factor of the error. Defaults to 1.0.

    Raises:
        ValueError: ``weight`` is not positive.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> sample = CrowdDataSample(gt_maps=PixelData(iknn=torch.ones(1, 2, 2)))
        >>> TargetMapLoss('iknn').loss(dict(map=torch.zeros(1, 1, 2, 2)), [sample], stride=1)
        {'loss_map': tensor(1.)}
    """

    def __init__(self, target: str, source: str = 'map', weight: float = 1.0):
        super().__init__()
        check_positive(self, weight=weight)
        self.target = target
        self.source = source
        self.weight = weight

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_map``, see :class:`OutputLoss`.

        Raises:
            KeyError: There is no output ``source``, or a sample lacks the map.
            ValueError: The map has another size than the output.
        """
        maps = at_least_float32(take_output(outputs, self.source, self))
        truth = stack_maps(data_samples, self.target, maps, 'the transform that makes it')
        with torch.autocast(maps.device.type, enabled=False):
            return dict(loss_map=self.weight * (maps - truth).square().mean())
