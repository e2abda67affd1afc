from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.ops.grid import cut_middle
from mmcrowd.registry import MODELS


@MODELS.register_module()
class MapHead(BaseModule):
    """Turn features into one map of the size of the images by transposed convolutions.

    A 1x1 convolution with normalisation and ReLU, then transposed convolutions 4x4 that double the
    sides, with ReLU between them. Nothing bounds the result: it is no density but a map of what
    the loss asks for, such as the focal inverse distance transform of FIDTM (Liang et al., IEEE
    TMM 2022).

    Where the features were rounded up, the enlarged map is larger than the input. It is then cut
    to the size of the input in its middle, as published.

    Args:
        in_channels: Channels of the features. Defaults to 720, of HRNet-W48.
        mid_channels: Channels between the transposed convolutions, of which there is one more.
            Defaults to (64,), two of them.
        in_stride: Input pixels per feature cell. Defaults to 4.
        norm_cfg: Normalisation of the 1x1 convolution. Defaults to batch normalisation with the
            momentum 0.01, as published.
        init_cfg: Defaults to a normal distribution of standard deviation 0.001 for the 1x1
            convolution, as published, and PyTorch's own for the transposed ones.

    Attributes:
        out_stride: Input pixels per cell of the map.

    Raises:
        ValueError: The transposed convolutions do not divide ``in_stride``.
    """

    # The mask brings the size of the input.
    needs_padding_mask = True

    def __init__(
        self,
        in_channels: int = 720,
        mid_channels: Sequence[int] = (64,),
        in_stride: int = 4,
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.001),  # noqa: B006
    ):
        super().__init__(init_cfg)
        factor = 2 ** (len(mid_channels) + 1)
        if in_stride % factor:
            raise ValueError(
                f'mid_channels={tuple(mid_channels)} enlarge by {factor}, expected a divisor of '
                f'in_stride={in_stride}'
            )
        self.out_stride = in_stride // factor
        self.mix = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 1),
            build_norm_layer(norm_cfg or dict(type='BN', momentum=0.01), in_channels)[1],
            nn.ReLU(inplace=True),
        )
        channels = (in_channels, *mid_channels)
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)
            for c_in, c_out in zip(channels[:-1], mid_channels, strict=True)
        )
        self.predict = nn.ConvTranspose2d(channels[-1], 1, 4, stride=2, padding=1)

    def forward(
        self,
        features: torch.Tensor | Sequence[torch.Tensor],
        padding_mask: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Map of a batch.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a sequence of levels, of which the first
                is taken.
            padding_mask: ``(N, H, W)``, of which only the size of the input ``(H, W)`` is used.
                Defaults to None: the map is not cut.

        Returns:
            ``map`` ``(N, 1, ceil(H / out_stride), ceil(W / out_stride))``.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        x = self.mix(features)
        for layer in self.enlarge:
            x = F.relu(layer(x))
        x = self.predict(x)
        if padding_mask is not None:
            x = cut_middle(x, [-(-side // self.out_stride) for side in padding_mask.shape[-2:]])
        return dict(map=x)
