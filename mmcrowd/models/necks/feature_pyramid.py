from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class FeaturePyramid(BaseModule):
    """Feature pyramid (Lin et al.: *Feature Pyramid Networks for Object Detection*, CVPR 2017).

    A 1x1 convolution brings each level to ``out_channels``. From the coarsest on, each is enlarged
    by repeating cells and added to the next finer one, and a 3x3 convolution follows on each level
    that is returned. There is neither normalisation nor activation.

    Args:
        in_channels: Channels of the levels, fine to coarse.
        out_channels: Channels of the results. Defaults to 256.
        num_outs: How many levels are returned, from the finest on. Defaults to None, all.
        init_cfg: Defaults to None: layers start as PyTorch makes them.

    Raises:
        ValueError: ``num_outs`` is not from 1 to the number of levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outs: int | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        num_outs = len(in_channels) if num_outs is None else num_outs
        if not 1 <= num_outs <= len(in_channels):
            raise ValueError(f'num_outs={num_outs!r}, expected 1 to {len(in_channels)} levels')
        self.laterals = ModuleList(nn.Conv2d(channels, out_channels, 1) for channels in in_channels)
        self.convs = ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in range(num_outs)
        )

    def forward(self, features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Make the pyramid.

        Args:
            features: For each level ``(N, C, h, w)``, fine to coarse.

        Returns:
            ``(N, out_channels, h, w)`` for each of the ``num_outs`` finest levels, fine to coarse.
        """
        levels = [lateral(level) for lateral, level in zip(self.laterals, features, strict=True)]
        for i in reversed(range(len(levels) - 1)):
            size = levels[i].shape[-2:]
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=size, mode='nearest')
        return tuple(conv(level) for conv, level in zip(self.convs, levels, strict=False))
