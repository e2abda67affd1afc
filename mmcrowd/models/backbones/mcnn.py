"""Multi-column CNN without its last 1x1 convolution."""
import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class MCNN(BaseModule):
    """MCNN (Zhang et al., CVPR 2016) up to the concatenation of its three columns.

    The columns see heads of different size: each has four convolutions with ReLU, large, medium
    or small kernels, and a 2x2 max pool after the first and the second. The 1x1 convolution that
    fuses the columns is the density head's.

    Args:
        in_channels (int): Channels of the input. Defaults to 1, grey images.
        init_cfg (dict | list[dict], optional): MMEngine initialisation. Defaults to a normal
            distribution of standard deviation 0.01.

    Raises:
        ValueError: If ``in_channels`` is not positive.
    """

    # Per column the kernel sizes and the output channels of its four convolutions.
    columns = (
        ((9, 7, 7, 7), (16, 32, 16, 8)),
        ((7, 5, 5, 5), (20, 40, 20, 10)),
        ((5, 3, 3, 3), (24, 48, 24, 12)),
    )
    out_channels = (30, )
    out_strides = (4, )

    def __init__(self, in_channels=1, init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)):
        super().__init__(init_cfg)
        if in_channels < 1:
            raise ValueError(f'MCNN: in_channels={in_channels}, wanted a positive number')
        for i, (kernel_sizes, widths) in enumerate(self.columns, start=1):
            self.add_module(f'column{i}', self._make_column(in_channels, kernel_sizes, widths))

    @staticmethod
    def _make_column(in_channels, kernel_sizes, widths):
        layers = []
        for i, (kernel_size, width) in enumerate(zip(kernel_sizes, widths, strict=True)):
            layers.append(ConvModule(in_channels, width, kernel_size, padding=kernel_size // 2))
            if i < 2:
                layers.append(nn.MaxPool2d(2))
            in_channels = width
        return nn.Sequential(*layers)

    def forward(self, x):
        """Compute the feature map.

        Args:
            x (Tensor): Images, (N, in_channels, H, W).

        Returns:
            tuple[Tensor]: One map, (N, 30, H // 4, W // 4).
        """
        return (torch.cat([self.column1(x), self.column2(x), self.column3(x)], dim=1), )
