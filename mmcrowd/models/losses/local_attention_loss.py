"""Local attention regularisation (Lin, Ma, Ji, Wang and Hong: *Boosting Crowd Counting via
Multifaceted Attention*, CVPR 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_not_negative
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .checks import take_output
from .output_loss import OutputLoss, as_output_loss


def region_inconsistency(features: Tensor) -> Tensor:
    r"""How much the features of the regions of an image differ in direction.

    .. math::
        \sum_i \left( 1 - \frac{f_i \cdot \bar f}{\| f_i \| \| \bar f \| + 10^{-5}} \right)

    with the mean :math:`\bar f` of the features over the tokens i of the image.

    Args:
        features: ``(N, C, h, w)`` of any dtype; computed in float32 at least.

    Returns:
        ``(N,)``.

    Examples:
        Opposite regions cancel in the mean, equal ones are like it.

        >>> features = torch.tensor([[[[1.0, -1.0]]], [[[1.0, 1.0]]]])
        >>> region_inconsistency(features).round(decimals=3)
        tensor([2., 0.])
    """
    f = at_least_float32(features).flatten(2)
    mean = f.mean(2, keepdim=True)
    # The gradient of a norm at 0 is 0 where torch computes it, not NaN as that of a root.
    norms = f.norm(dim=1) * mean.norm(dim=1)
    return (1 - (f * mean).sum(1) / (norms + 1e-5)).sum(1)


@MODELS.register_module()
class LocalAttentionLoss(OutputLoss):
    """Another loss, and the regularisation of the regions of the attention beside it.

    It takes ``region_features``, maps ``(N, C, h, w)`` of each layer, from the outputs; its own
    term is ``loss_regions``, the mean over the images of :func:`region_inconsistency`, summed over
    the layers. The number of tokens is not divided by, so it grows with the size of the crops, and
    so does the Bayesian loss beside it.

    Args:
        loss: Config of the loss that counts, any that a counter takes.
        weight: Weight of the regularisation. Defaults to 1.0, as in the published program.
        source: Name of the outputs that are regularised. Defaults to ``'region_features'``.

    Raises:
        ValueError: The weight is negative.

    Examples:
        >>> from mmengine.structures import InstanceData
        >>> from mmcrowd.models import BayesianLoss
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=torch.zeros(0, 2)))
        >>> outputs = dict(
        ...     density=torch.full((1, 1, 2, 2), 0.25),
        ...     region_features=[torch.tensor([[[[1.0, -1.0]]]])],
        ... )
        >>> LocalAttentionLoss(dict(type=BayesianLoss)).loss(outputs, [sample], stride=16)
        {'loss_point': tensor(0.), 'loss_background': tensor(1.), 'loss_regions': tensor(2.)}
    """

    def __init__(self, loss: dict, weight: float = 1.0, source: str = 'region_features') -> None:
        super().__init__()
        check_not_negative(self, weight=weight)
        self.counting_loss: Any = as_output_loss(MODELS.build(loss))
        self.weight = weight
        self.source = source
        self.host_step = getattr(self.counting_loss, 'host_step', False)

    def loss(
        self, outputs: dict[str, Any], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the terms of the other loss and ``loss_regions``, see :class:`OutputLoss`.

        Raises:
            KeyError: An output is not there.
        """
        layers: Sequence[Tensor] = take_output(outputs, self.source, self)
        with torch.autocast(layers[0].device.type, enabled=False):
            regions = torch.stack([region_inconsistency(layer) for layer in layers]).sum(0)
        terms = self.counting_loss.loss(outputs, data_samples, stride)
        return dict(terms, loss_regions=self.weight * regions.mean())
