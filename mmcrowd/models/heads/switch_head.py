from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS


@MODELS.register_module()
class SwitchHead(BaseModule):
    """Densities of three columns, and which of them counts a patch.

    Of Switch-CNN (Babu Sam, Surya and Babu, CVPR 2017), for the maps of
    :class:`~mmcrowd.models.backbones.SwitchMCNN`. Each column ends with a 1x1 convolution and a
    ReLU. The switch ends with max pooling by 2, the mean over the patch, a layer of 512 units with
    ReLU and one logit for each column; ``density`` is that of the column with the largest one.
    Without a switch it is the mean of the three, so that the stages of the training that have none
    can be validated.

    Args:
        in_channels: Channels of the maps of the columns. Defaults to (8, 10, 12), MCNN's.
        switch_channels: Channels of the map of the switch. Defaults to None, no switch.
        switch_units: Units of its hidden layer. Defaults to 512.
        out_stride: Input pixels per cell of the maps of the columns. Defaults to 4.
        init_cfg: Defaults to a normal distribution of standard deviation 0.01 for the convolutions,
            as published, and a bias of 0.01 persons per cell, about the mean of ShanghaiTech A:
            from 0 a ReLU with few inputs may be dead at once.

    Attributes:
        out_stride: Input pixels per density cell.

    Examples:
        >>> head = SwitchHead()
        >>> outputs = head([torch.zeros(1, channels, 4, 6) for channels in (8, 10, 12)])
        >>> [tuple(each.shape) for each in (*outputs['densities'], outputs['density'])]
        [(1, 1, 4, 6), (1, 1, 4, 6), (1, 1, 4, 6), (1, 1, 4, 6)]
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (8, 10, 12),
        switch_channels: int | None = None,
        switch_units: int = 512,
        out_stride: int = 4,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01, bias=0.01),  # noqa: B006
    ):
        super().__init__(init_cfg)
        self.out_stride = out_stride
        self.predict1, self.predict2, self.predict3 = (
            nn.Conv2d(channels, 1, 1) for channels in in_channels
        )
        self.switch = None
        if switch_channels is not None:
            self.switch = nn.Sequential(
                nn.MaxPool2d(2),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(switch_channels, switch_units),
                nn.ReLU(),
            )
            self.predict_switch = nn.Linear(switch_units, len(in_channels))

    def forward(self, features: Sequence[torch.Tensor]) -> dict:
        """Densities of a batch of patches.

        Args:
            features: The maps ``(N, c, h, w)`` of the three columns, and, if there is a switch, its
                map ``(N, C, h', w')``.

        Returns:
            ``densities``, a list of three, and ``density``, ``(N, 1, h, w)`` persons per cell each;
            with a switch also ``logits`` ``(N, 3)``, float32 also under autocast.
        """
        predicts = (self.predict1, self.predict2, self.predict3)
        densities = [
            F.relu(predict(each)) for predict, each in zip(predicts, features, strict=False)
        ]
        columns = torch.stack(densities, 1)
        if self.switch is None:
            return dict(densities=densities, density=columns.mean(1))
        logits = at_least_float32(self.predict_switch(self.switch(features[-1])))
        chosen = columns[torch.arange(len(columns), device=columns.device), logits.argmax(1)]
        return dict(densities=densities, logits=logits, density=chosen)
