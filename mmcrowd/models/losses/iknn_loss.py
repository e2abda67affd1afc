"""Loss of MUD-ikNN (Olmschenk, Tang and Zhu: *Improving Dense Crowd Counting Convolutional Neural
Networks using Inverse k-Nearest Neighbor Maps and Multiscale Upsampling*, arXiv 1902.05379)."""

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_not_negative
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, SampleReader, stack_maps

from .checks import take_output
from .output_loss import OutputLoss


@MODELS.register_module()
class IKNNLoss(OutputLoss):
    r"""Squared errors of the count and of the whole map of a patch.

    .. math:: L = (\hat c - c)^2 + w \Big( \sum_i \frac{1}{L} \sum_l |\hat m_{li} - m_i| \Big)^2

    with the count c, the sum of the output ``density``, the L maps :math:`\hat m_l` of the output
    ``maps`` and m, the map ``iknn`` of the ``gt_maps`` of the sample; both terms are means over the
    images. So the error of the map is squared after its sum over the pixels.

    Args:
        map_weight: Defaults to 1e-6, that of the settings of the program; the script of its
            published state has 1e-3.

    Raises:
        ValueError: ``map_weight`` is negative.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> sample = CrowdDataSample(gt_count=1, gt_maps=PixelData(iknn=torch.ones(1, 2, 2)))
        >>> outputs = dict(maps=torch.zeros(1, 3, 2, 2), density=torch.ones(1, 1, 2, 2))
        >>> IKNNLoss(map_weight=0.5).loss(outputs, [sample], stride=1)
        {'loss_count': tensor(9.), 'loss_map': tensor(8.)}
    """

    def __init__(self, map_weight: float = 1e-6):
        super().__init__()
        check_not_negative(self, map_weight=map_weight)
        self.map_weight = map_weight

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_count`` and ``loss_map``, see :class:`OutputLoss`.

        Raises:
            KeyError: An output is not there, or a sample has no map or no count.
            ValueError: A map has another size than the output.
        """
        density, maps = (
            at_least_float32(take_output(outputs, name, self)) for name in ('density', 'maps')
        )
        target = stack_maps(data_samples, 'iknn', maps[:, :1], 'InverseNeighbourMap')
        counts = torch.tensor(
            [SampleReader(sample, 'IKNNLoss').value('gt_count') for sample in data_samples]
        )
        truth = counts.to(density, non_blocking=True)
        with torch.autocast(density.device.type, enabled=False):
            error = (maps - target).abs().mean(1).sum((1, 2))
            return dict(
                loss_count=(density.sum((1, 2, 3)) - truth).square().mean(),
                loss_map=self.map_weight * error.square().mean(),
            )
