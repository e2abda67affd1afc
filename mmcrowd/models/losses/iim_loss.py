"""Loss of IIM (Gao et al.: *Learning Independent Instance Maps for Crowd Localization*, arXiv
2012.04164)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.ops.checks import check_not_negative
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, stack_maps

from .checks import take_output
from .output_loss import OutputLoss

GRADIENT_OF_MAP = 0.2  # share of the gradient of the binary map that the confidence gets


class Binarize(torch.autograd.Function):
    """1 where a map is at least the threshold, else 0, with a gradient made by hand.

    Of the gradient g of the result the map gets 0.2 g and the threshold -g, wherever they are.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, threshold: Tensor) -> Tensor:
        return (values >= threshold).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        return GRADIENT_OF_MAP * gradient, -gradient


def binarize(values: Tensor, threshold: Tensor) -> Tensor:
    """Compare a map with a threshold, see :class:`Binarize`.

    Args:
        values: Of any shape.
        threshold: Of the same shape.

    Returns:
        0 or 1, of the shape and dtype of the values.

    Examples:
        >>> values = torch.tensor([0.3, 0.6], requires_grad=True)
        >>> threshold = torch.tensor([0.5, 0.5], requires_grad=True)
        >>> binarize(values, threshold).sum().backward()
        >>> values.grad, threshold.grad
        (tensor([0.2000, 0.2000]), tensor([-1., -1.]))
    """
    return Binarize.apply(values, threshold)


@MODELS.register_module()
class IIMLoss(OutputLoss):
    """Squared error of the confidence and absolute error of what passes the threshold, to a mask.

    It takes ``map`` and ``threshold`` from the outputs, of
    :class:`~mmcrowd.models.heads.IIMHead`, and ``mask`` from the ``gt_maps`` of the samples, which
    :class:`~mmcrowd.datasets.transforms.BoxMask` makes: 1 on the head boxes, else 0. Both errors
    are means over all pixels of the batch. The second trains the confidence too, see
    :func:`binarize`.

    Args:
        map_weight: Weight of the squared error. Defaults to 1.0.
        binary_weight: Weight of the absolute error. Defaults to 1.0.

    Raises:
        ValueError: A weight is negative, or both are 0.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> sample = CrowdDataSample(gt_maps=PixelData(mask=torch.ones(1, 1, 2)))
        >>> confidence = torch.tensor([[[[0.5, 0.7]]]])
        >>> outputs = dict(map=confidence, threshold=torch.full_like(confidence, 0.6))
        >>> IIMLoss().loss(outputs, [sample], stride=1)
        {'loss_map': tensor(0.1700), 'loss_binary': tensor(0.5000)}
    """

    def __init__(self, map_weight: float = 1.0, binary_weight: float = 1.0):
        super().__init__()
        check_not_negative(self, map_weight=map_weight, binary_weight=binary_weight)
        if map_weight == binary_weight == 0:
            raise ValueError('IIMLoss: map_weight and binary_weight must not both be 0')
        self.map_weight = map_weight
        self.binary_weight = binary_weight

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute ``loss_map`` and ``loss_binary``, see :class:`OutputLoss`.

        Raises:
            KeyError: An output is not there, or a sample has no mask.
            ValueError: The mask has another size than the map.
        """
        confidence, threshold = (
            at_least_float32(take_output(outputs, name, self)) for name in ('map', 'threshold')
        )
        mask = stack_maps(data_samples, 'mask', confidence, 'BoxMask')
        with torch.autocast(confidence.device.type, enabled=False):
            return dict(
                loss_map=self.map_weight * F.mse_loss(confidence, mask),
                loss_binary=self.binary_weight * F.l1_loss(binarize(confidence, threshold), mask),
            )
