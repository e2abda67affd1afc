"""Loss of D2CNet (Cheng et al.: *Decoupled Two-Stage Crowd Counting and Beyond*, IEEE
Transactions on Image Processing 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.checks import check_not_negative
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, stack_maps

from .checks import take_output
from .output_loss import OutputLoss

# Counts that a network may give, with the density and the transform that they are compared with.
COUNTS = dict(
    count=('density', 'ProbabilityMap'),
    count_of_truth=('density', 'ProbabilityMap'),
    count_of_drawn=('drawn_density', 'DrawnMap'),
)


@MODELS.register_module()
class D2CLoss(OutputLoss):
    """Sums of squared errors of the probability and of the counts.

    The output ``probability`` is compared with the map of this name in the ``gt_maps`` of the
    samples. The outputs ``count``, ``count_of_truth`` and ``count_of_drawn``, if they are there,
    are compared with the sums over their cells of ``density``, the same and ``drawn_density``; each
    is a term of its own. The error of the count reaches the probability too, as published.

    Args:
        probability_weight: Weight of the error of the probability; with 0 it is not computed, for a
            network that takes true maps. Defaults to 1.0.
        count_weight: Weight of the errors of the counts. Defaults to 1.0.

    Raises:
        ValueError: A weight is negative, or both are 0.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> maps = PixelData(probability=torch.zeros(1, 2, 2), density=torch.ones(1, 2, 2))
        >>> outputs = dict(probability=torch.full((1, 1, 2, 2), 0.5), count=torch.ones(1, 1, 1, 1))
        >>> D2CLoss().loss(outputs, [CrowdDataSample(gt_maps=maps)], stride=1)
        {'loss_probability': tensor(1.), 'loss_count': tensor(9.)}
    """

    def __init__(self, probability_weight: float = 1.0, count_weight: float = 1.0):
        super().__init__()
        check_not_negative(self, probability_weight=probability_weight, count_weight=count_weight)
        if probability_weight == count_weight == 0:
            raise ValueError('D2CLoss: probability_weight and count_weight must not both be 0')
        self.probability_weight = probability_weight
        self.count_weight = count_weight

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_probability`` and the ``loss_count...``, see :class:`OutputLoss`.

        Raises:
            KeyError: There is no ``probability``, or a sample lacks a map.
            ValueError: A map has another size than the output, or the cells of a count are not
                squares of its cells.
        """
        maps = at_least_float32(take_output(outputs, 'probability', self))
        terms = {}
        with torch.autocast(maps.device.type, enabled=False):
            if self.probability_weight:
                truth = stack_maps(data_samples, 'probability', maps, 'ProbabilityMap')
                terms['loss_probability'] = self.probability_weight * _error(maps, truth)
            for name, (target, transform) in COUNTS.items():
                if name in outputs:
                    counts = at_least_float32(outputs[name])
                    density = stack_maps(data_samples, target, maps, transform)
                    side = max(density.shape[-1] // counts.shape[-1], 1)
                    needed = (len(density), 1, *(cells // side for cells in density.shape[2:]))
                    if counts.shape != needed:
                        raise ValueError(
                            f'D2CLoss: the output {name!r} has the shape {tuple(counts.shape)}, '
                            f'but the sums of {target!r} over squares of {side}x{side} of its '
                            f'{density.shape[2]}x{density.shape[3]} cells have {needed}'
                        )
                    truth = sum_over_cells(density, side)
                    terms[f'loss_{name}'] = self.count_weight * _error(counts, truth)
        return terms


def sum_over_cells(density: Tensor, side: int) -> Tensor:
    """Sums of a map over squares; what is left over at the right and below is left out.

    Args:
        density: ``(N, 1, h, w)``.
        side: Side of a square in cells of the map.

    Returns:
        ``(N, 1, h // side, w // side)``.
    """
    return F.avg_pool2d(density, side, divisor_override=1)


def _error(actual: Tensor, expected: Tensor) -> Tensor:
    """Sum of the squared errors of an image, in the mean over the batch."""
    return (actual - expected).square().sum() / len(actual)
