from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class SeparableRefiner(BaseModule):
    """Enlarge the coarsest level of a light backbone and narrow its channels.

    The refiner and decoder of ZIP-P, ZIP-N and ZIP-T (Ma, Sanchez and Guha: *ZIP: Scalable Crowd
    Counting via Zero-Inflated Poisson Modeling*, arXiv 2506.19955). Each doubling interpolates
    bilinearly and refines with a residual block; then more blocks halve the channels until there
    are ``max_channels`` or fewer.

    Args:
        in_channels: Channels of the coarsest level.
        num_doublings: How often its sides are doubled: 1 from stride 32 to blocks of 16 pixels, 0
            for blocks of 32. Defaults to 1.
        max_channels: Most channels of the result. Defaults to 256.
        block: ``'single'`` for :class:`SeparableResidual` (ZIP-P and ZIP-N), ``'double'`` for
            :class:`DoubleSeparableResidual` (ZIP-T). Defaults to ``'single'``.
        norm_cfg: Normalisation. Defaults to batch normalisation.
        init_cfg: Defaults to Kaiming by the outputs of each convolution, as published.

    Attributes:
        out_channels: Channels of the result.

    Raises:
        ValueError: A number is out of range, or the block is none of the above.
    """

    def __init__(
        self,
        in_channels: int,
        num_doublings: int = 1,
        max_channels: int = 256,
        block: str = 'single',
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_out'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if min(in_channels, max_channels) < 1 or num_doublings < 0:
            raise ValueError(
                f'in_channels={in_channels}, num_doublings={num_doublings}, '
                f'max_channels={max_channels}, expected positive numbers (num_doublings: 0 or more)'
            )
        blocks = dict(single=SeparableResidual, double=DoubleSeparableResidual)
        if block not in blocks:
            raise ValueError(f'block={block!r}, expected one of {list(blocks)}')
        norm_cfg = norm_cfg or dict(type='BN')
        self.doublings = nn.ModuleList(
            blocks[block](in_channels, in_channels, norm_cfg) for _ in range(num_doublings)
        )
        self.narrowings = nn.ModuleList()
        channels = in_channels
        while channels > max_channels:
            self.narrowings.append(blocks[block](channels, channels // 2, norm_cfg))
            channels //= 2
        self.out_channels = channels

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """Refine a batch.

        Args:
            features: ``(N, in_channels, h, w)``, or a backbone's sequence of levels, of which the
                last is taken.

        Returns:
            ``(N, out_channels, h * 2**num_doublings, w * 2**num_doublings)``.
        """
        x = features if isinstance(features, torch.Tensor) else features[-1]
        for layer in self.doublings:
            x = layer(F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False))
        for layer in self.narrowings:
            x = layer(x)
        return x


class SeparableResidual(nn.Module):
    """A depthwise 3x3 and a pointwise convolution, and a shortcut past both.

    Args:
        in_channels: Channels before.
        out_channels: Channels after; where they differ, a 1x1 convolution is in the shortcut.
        norm_cfg: Normalisation after each convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict):
        super().__init__()
        self.depthwise = ConvModule(
            in_channels, in_channels, 3, padding=1, groups=in_channels, norm_cfg=norm_cfg
        )
        self.pointwise = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.shortcut = shortcut(in_channels, out_channels, norm_cfg)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, in_channels, h, w) -> (N, out_channels, h, w)``, not negative."""
        return F.relu(self.pointwise(self.depthwise(x)) + self.shortcut(x))


class DoubleSeparableResidual(nn.Module):
    """Two separable 3x3 convolutions, without normalisation inside, and a shortcut past both.

    Args:
        in_channels: Channels before.
        out_channels: Channels after; where they differ, a 1x1 convolution is in the shortcut.
        norm_cfg: Normalisation after each separable convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict):
        super().__init__()
        self.first, self.second = (
            DepthwiseSeparableConvModule(
                channels,
                out_channels,
                3,
                padding=1,
                bias=False,
                norm_cfg=norm_cfg,
                dw_norm_cfg=None,
                dw_act_cfg=None,
                pw_act_cfg=act_cfg,
            )
            for channels, act_cfg in ((in_channels, dict(type='ReLU')), (out_channels, None))
        )
        self.shortcut = shortcut(in_channels, out_channels, norm_cfg)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, in_channels, h, w) -> (N, out_channels, h, w)``, not negative."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def shortcut(in_channels: int, out_channels: int, norm_cfg: dict) -> nn.Module:
    """What leads past a residual block: nothing, or a 1x1 convolution to other channels."""
    if in_channels == out_channels:
        return nn.Identity()
    return ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
