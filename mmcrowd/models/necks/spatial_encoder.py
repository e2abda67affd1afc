import itertools
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.registry import MODELS


@MODELS.register_module()
class SpatialEncoder(BaseModule):
    """Dilated convolutions, then four sweeps that carry what they see across the whole map.

    The back end and the spatial encoder of SFCN (Wang, Gao, Lin and Yuan: *Learning from Synthetic
    Data for Crowd Counting in the Wild*, CVPR 2019; the sweeps are those of SCNN, Pan et al., AAAI
    2018). 3x3 convolutions with dilation 2 and ReLU are followed by a :class:`Sweep` over the rows
    and one over the columns.

    Each sweep is a sequence of ``h`` or ``w`` small convolutions, which is slow on a GPU and fixes
    the size of an exported graph. A cell sees the whole image, so in tiles the outputs are others.

    Args:
        in_channels: Channels of the features.
        mid_channels: Channels of the dilated convolutions. Defaults to (512, 512, 512, 256, 128,
            64).
        kernel_size: Cells across the direction of a sweep, odd. Defaults to 9.
        init_cfg: Defaults to a normal distribution of standard deviation 0.01, as published.

    Attributes:
        out_channels: Channels of the result.

    Raises:
        ValueError: There are no ``mid_channels``, or ``kernel_size`` is even.
    """

    def __init__(
        self,
        in_channels: int = 1024,
        mid_channels: Sequence[int] = (512, 512, 512, 256, 128, 64),
        kernel_size: int = 9,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if not mid_channels:
            raise ValueError('SpatialEncoder: mid_channels is empty, expected one or more')
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'SpatialEncoder: kernel_size={kernel_size!r}, expected an odd number')
        channels = (in_channels, *mid_channels)
        self.convs = nn.Sequential(
            *(
                ConvModule(c_in, c_out, 3, padding=2, dilation=2)
                for c_in, c_out in itertools.pairwise(channels)
            )
        )
        self.out_channels = channels[-1]
        self.rows = Sweep(self.out_channels, kernel_size, axis=2)
        self.columns = Sweep(self.out_channels, kernel_size, axis=3)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Encode a batch.

        Args:
            features: ``(N, in_channels, h, w)``, or a backbone's sequence of levels, of which the
                last is taken.

        Returns:
            ``(N, out_channels, h, w)``, not negative.
        """
        x = features if isinstance(features, torch.Tensor) else features[-1]
        return self.columns(self.rows(self.convs(x)))


class Sweep(nn.Module):
    r"""Carry features along an axis and back.

    Each slice across the axis adds what a convolution with ReLU, :math:`f`, makes of the slice
    before it; then the same on the way back, with the same convolution:

    .. math::
        s_i = x_i + f(s_{i-1}) \text{ for } i = 1, 2, \ldots \qquad
        t_i = s_i + f(t_{i+1}) \text{ for } i = n - 2, n - 3, \ldots

    Args:
        channels: Channels of the features, before and after.
        kernel_size: Cells of the convolution across the axis, odd.
        axis: Axis of the sweep in ``(N, C, h, w)``: 2 goes from row to row, 3 from column to
            column.
    """

    def __init__(self, channels: int, kernel_size: int, axis: int):
        super().__init__()
        kernel = (1, kernel_size) if axis == 2 else (kernel_size, 1)
        self.axis = axis
        self.conv = nn.Conv2d(channels, channels, kernel, padding='same')

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, C, h, w)`` to the same shape."""
        # Contiguous slices (N, C, k): convolutions of single columns of a map took a CPU ten times
        # as long as those of single rows.
        slices = list(x.movedim(self.axis, 0).contiguous())
        weight = self.conv.weight.flatten(2)
        padding = weight.shape[2] // 2

        def add(i: int, before: int) -> None:
            step = F.conv1d(slices[before], weight, self.conv.bias, padding=padding)
            slices[i] = slices[i] + F.relu(step)

        for i in range(1, len(slices)):
            add(i, i - 1)
        for i in reversed(range(len(slices) - 1)):
            add(i, i + 1)
        return torch.stack(slices, self.axis)
