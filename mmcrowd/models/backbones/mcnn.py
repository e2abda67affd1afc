import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class MCNN(BaseModule):
    """Multi-column CNN (Zhang et al., CVPR 2016) without its last 1x1 convolution.

    Three columns of four convolutions with ReLU see small, medium and large heads through large,
    medium and small kernels; a 2x2 max pool follows the first and the second convolution. Their
    maps are concatenated.

    Args:
        in_channels: Channels of the images. Defaults to 1, grey.
        norm_cfg: Normalisation after each convolution. Defaults to None, as in the paper.
        init_cfg: Defaults to None: Kaiming for the convolutions, as ``mmcv.cnn.ConvModule`` does
            it.

    Attributes:
        out_channels: Channels of the returned map.
        out_strides: Its stride, input pixels per cell.

    Raises:
        ValueError: If ``in_channels`` is not positive.
    """

    # Kernel sizes and output channels of each column.
    COLUMNS = (
        ((9, 7, 7, 7), (16, 32, 16, 8)),
        ((7, 5, 5, 5), (20, 40, 20, 10)),
        ((5, 3, 3, 3), (24, 48, 24, 12)),
    )

    def __init__(
        self,
        in_channels: int = 1,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if in_channels < 1:
            raise ValueError(f'in_channels={in_channels!r}, expected a positive number')
        self.column1, self.column2, self.column3 = (
            self._make_column(in_channels, *column, norm_cfg) for column in self.COLUMNS
        )
        self.out_channels: tuple[int, ...] = (sum(widths[-1] for _, widths in self.COLUMNS),)
        self.out_strides: tuple[int, ...] = (4,)

    @staticmethod
    def _make_column(
        in_channels: int,
        kernel_sizes: tuple[int, ...],
        widths: tuple[int, ...],
        norm_cfg: dict | None,
    ) -> nn.Sequential:
        channels = (in_channels, *widths)
        convs = [
            ConvModule(c_in, c_out, kernel_size, padding=kernel_size // 2, norm_cfg=norm_cfg)
            for c_in, c_out, kernel_size in zip(channels[:-1], widths, kernel_sizes, strict=True)
        ]
        return nn.Sequential(convs[0], nn.MaxPool2d(2), convs[1], nn.MaxPool2d(2), *convs[2:])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature map.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            One map ``(N, 30, H // 4, W // 4)``.
        """
        return (torch.cat([self.column1(x), self.column2(x), self.column3(x)], dim=1),)
