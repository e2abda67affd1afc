from mmcrowd.registry import MODELS

from .base_counter import BaseCounter


@MODELS.register_module()
class DensityCounter(BaseCounter):
    """A counter that predicts a map, by default a density map whose sum is the count.

    Any density loss trains it, and with a localizer it gives points beside the count. For a map
    that does not sum to the count, such as one of peaks, ``count_from='points'`` counts the
    localizer's points. The arguments are those of :class:`BaseCounter`.

    Examples:
        >>> import torch
        >>> from mmcrowd.models import MCNN, DensityHead, LocalMaximum, PMLLoss
        >>> model = DensityCounter(
        ...     backbone=dict(type=MCNN),
        ...     head=dict(type=DensityHead, in_channels=30, in_stride=4, out_stride=4),
        ...     loss=dict(type=PMLLoss),
        ...     localizer=dict(type=LocalMaximum),
        ...     data_preprocessor=dict(type='mmcrowd.CrowdDataPreprocessor'),
        ... )
        >>> model(torch.rand(1, 1, 64, 96))['density'].shape
        torch.Size([1, 1, 16, 24])
    """
