"""Head of the localization branch of RAZNet (Liu, Weng and Mu: *Recurrent Attentive Zooming for
Joint Crowd Counting and Precise Localization*, CVPR 2019)."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.registry import MODELS


@MODELS.register_module()
class RAZHead(BaseModule):
    """Logits of background and head at every pixel, by dilated and transposed convolutions.

    Three 3x3 convolutions with dilation 2; then each stage doubles the sides by a transposed
    convolution 4x4 and has one more of them; then a 1x1 convolution to two channels. Every layer
    has a ReLU, the last one too, as in the published program: a pixel where both logits are
    negative has the probability 1/2.

    Args:
        in_channels: Channels of the features. Defaults to 512.
        mid_channels: Channels of the stages that double the sides. Defaults to (256, 128, 64).
        in_stride: Input pixels per feature cell. Defaults to 8.
        positive_logits: Whether the logits go through a ReLU. Defaults to True, as published.
        init_cfg: Defaults to None: all layers start as PyTorch makes them, as published.

    Attributes:
        out_stride: Input pixels per cell of the logits.
        size_divisor: The logits reach the edges of images whose sides are multiples of it.

    Raises:
        ValueError: The stages do not divide ``in_stride``.
    """

    NUM_CONTEXT = 3  # convolutions before the first transposed one

    def __init__(
        self,
        in_channels: int = 512,
        mid_channels: Sequence[int] = (256, 128, 64),
        in_stride: int = 8,
        positive_logits: bool = True,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        factor = 2 ** len(mid_channels)
        if in_stride % factor:
            raise ValueError(
                f'mid_channels={tuple(mid_channels)} enlarge by {factor}, expected a divisor of '
                f'in_stride={in_stride}'
            )
        self.out_stride = in_stride // factor
        self.size_divisor = in_stride
        self.positive_logits = positive_logits
        channels = (in_channels, *mid_channels)
        self.context = nn.ModuleList(dilated(in_channels) for _ in range(self.NUM_CONTEXT))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)
            for c_in, c_out in zip(channels[:-1], mid_channels, strict=True)
        )
        self.refine = nn.ModuleList(dilated(c_out) for c_out in mid_channels)
        self.predict = nn.Conv2d(channels[-1], 2, 1)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Logits of a batch.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a sequence of levels, of which the first
                is taken.

        Returns:
            ``logits`` ``(N, 2, H, W)`` and ``probability`` ``(N, 1, H, W)`` of a head.
        """
        x = features if isinstance(features, torch.Tensor) else features[0]
        for conv in self.context:
            x = F.relu(conv(x))
        for enlarge, refine in zip(self.enlarge, self.refine, strict=True):
            x = F.relu(refine(F.relu(enlarge(x))))
        logits = self.predict(x)
        if self.positive_logits:
            logits = F.relu(logits)
        return dict(logits=logits, probability=logits.softmax(1)[:, 1:])


def dilated(channels: int) -> nn.Conv2d:
    """3x3 convolution with dilation 2 that keeps size and channels."""
    return nn.Conv2d(channels, channels, 3, padding=2, dilation=2)
