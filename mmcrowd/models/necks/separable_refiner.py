from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class SeparableRefiner(BaseModule):
    """Enlarge the coarsest level of a light backbone and narrow its channels.

    The refiner and decoder of ZIP-N and ZIP-P (Ma, Sanchez and Guha: *ZIP: Scalable Crowd Counting
    via Zero-Inflated Poisson Modeling*, arXiv 2506.19955). Each doubling interpolates bilinearly
    and refines with a :class:`SeparableResidual`; then more of them halve the channels until there
    are ``max_channels`` or fewer.

    Args:
        in_channels: Channels of the coarsest level.
        num_doublings: How often its sides are doubled: 1 from stride 32 to blocks of 16 pixels, 0
            for blocks of 32. Defaults to 1.
        max_channels: Most channels of the result. Defaults to 256.
        norm_cfg: Normalisation. Defaults to batch normalisation.
        init_cfg: Defaults to Kaiming by the outputs of each convolution, as published.

    Attributes:
        out_channels: Channels of the result.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_doublings: int = 1,
        max_channels: int = 256,
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_out'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if min(in_channels, max_channels) < 1 or num_doublings < 0:
            raise ValueError(
                f'in_channels={in_channels}, num_doublings={num_doublings}, '
                f'max_channels={max_channels}, expected positive numbers (num_doublings: 0 or more)'
            )
        norm_cfg = norm_cfg or dict(type='BN')
        self.doublings = nn.ModuleList(
            SeparableResidual(in_channels, in_channels, norm_cfg) for _ in range(num_doublings)
        )
        self.narrowings = nn.ModuleList()
        channels = in_channels
        while channels > max_channels:
            self.narrowings.append(SeparableResidual(channels, channels // 2, norm_cfg))
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
        for block in self.doublings:
            x = block(F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False))
        for block in self.narrowings:
            x = block(x)
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
        self.shortcut = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = ConvModule(
                in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, in_channels, h, w) -> (N, out_channels, h, w)``, not negative."""
        return F.relu(self.pointwise(self.depthwise(x)) + self.shortcut(x))
