"""Head of IIM (Gao et al.: *Learning Independent Instance Maps for Crowd Localization*, arXiv
2012.04164)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.registry import MODELS

from .map_head import MapHead


@MODELS.register_module()
class IIMHead(MapHead):
    """Confidence of a head at every pixel, and the threshold that it is compared with there.

    The confidence is the sigmoid of the map of a :class:`MapHead`. The threshold is learned from
    the features times the confidence, and nothing that it costs reaches these two.

    Args:
        in_channels: Channels of the features. Defaults to 720, of HRNet-W48.
        mid_channels: See :class:`MapHead`. Defaults to (64,).
        in_stride: Input pixels per feature cell. Defaults to 4.
        norm_cfg: See :class:`MapHead`. Defaults to batch normalisation with the momentum 0.01.
        init_cfg: See :class:`MapHead`; the layers of the threshold start as PyTorch makes them.

    Attributes:
        size_divisor: Sides of the input must be multiples of it: twice the stride of the threshold.
    """

    def __init__(
        self,
        in_channels: int = 720,
        mid_channels: Sequence[int] = (64,),
        in_stride: int = 4,
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.001),  # noqa: B006
    ):
        super().__init__(in_channels, mid_channels, in_stride, norm_cfg, init_cfg)
        self.size_divisor = 4 * in_stride
        self.map_step = 2 * in_stride // self.out_stride
        self.threshold = LearnedThreshold(in_channels)

    def forward(
        self,
        features: torch.Tensor | Sequence[torch.Tensor],
        padding_mask: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Confidence and threshold of a batch.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a sequence of levels, of which the first
                is taken.
            padding_mask: Not used: the sides of the input are multiples of ``size_divisor``.

        Returns:
            ``map`` and ``threshold``, ``(N, 1, H, W)`` each, between 0 and 1.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        confidence = super().forward(features)['map'].sigmoid()
        # Every second feature cell and the pixel at its corner, as published.
        step = self.map_step
        weighted = features.detach()[:, :, ::2, ::2] * confidence.detach()[:, :, ::step, ::step]
        threshold = F.interpolate(self.threshold(weighted), scale_factor=step, mode='nearest')
        return dict(map=confidence, threshold=threshold)


class LearnedThreshold(BaseModule):
    """The threshold of IIM, :func:`compressed_sigmoid` of ten times a score.

    Three 3x3 convolutions with PReLU, a mean over 15 x 15 cells, a 1x1 convolution and such a mean
    again; beyond the border there are zeros, which the mean counts.

    Args:
        in_channels: Channels of the features.
        mid_channels: Channels of the 3x3 convolutions. Defaults to (256, 128, 64).
        init_cfg: Defaults to the initialisation of PyTorch.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: Sequence[int] = (256, 128, 64),
        init_cfg=dict(type='TorchDefault', layer='Conv2d'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        channels = (in_channels, *mid_channels)
        layers: list[nn.Module] = []
        for c_in, c_out in zip(channels[:-1], mid_channels, strict=True):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.PReLU()]
        mean = nn.AvgPool2d(15, stride=1, padding=7)
        self.layers = nn.Sequential(*layers, mean, nn.Conv2d(channels[-1], 1, 1, bias=False), mean)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``(N, C, h, w) -> (N, 1, h, w)``."""
        return compressed_sigmoid(10 * self.layers(features))


def compressed_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """``1 / (2 + exp(-x)) + 0.2``, which rises from 0.2 to 0.7 and is 8 / 15 at 0.

    Args:
        x: Of any shape.

    Examples:
        >>> compressed_sigmoid(torch.tensor([-100.0, 0.0, 100.0]))
        tensor([0.2000, 0.5333, 0.7000])
    """
    # exp(-x) overflows where the result and its derivative are 0 anyhow; clamped, none is NaN.
    return 1 / (2 + torch.exp(-x.clamp(min=-80))) + 0.2
