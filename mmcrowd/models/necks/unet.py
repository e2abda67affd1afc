"""The expanding path of a U-Net."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmcrowd.ops.grid import cut_middle
from mmcrowd.registry import MODELS


@MODELS.register_module()
class UNet(BaseModule):
    """Expanding path of a U-Net (Ronneberger, Fischer and Brox: *U-Net*, MICCAI 2015).

    From the coarsest level on, the map is doubled, the next finer level is put before its channels,
    and 3x3 convolutions with ReLU follow. Valid ones, as in the paper and in TopoCount, lose a
    pixel on each side, and so the level is cut in its middle to the size of the map; padded ones
    keep the size, and a level with an odd side gets a map of its size.

    Args:
        in_channels: Channels of the levels, fine to coarse; each has half the sides of the one
            before. Defaults to (64, 128, 256, 512, 512), of VGG.
        channels: Channels of the convolutions of each step, coarse to fine, one step less than
            there are levels. Defaults to those of TopoCount, ((512, 512), (256, 256), (128, 128),
            (64, 64)).
        last_skip: Whether the finest level is put to the channels, too. Defaults to True;
            TopoCount has only its size for it.
        padded: Whether the convolutions are padded. Defaults to True.
        upsample: How maps are doubled: ``'deconv'``, by a transposed convolution 2x2 to the
            channels of the step's first convolution; ``'bilinear'``; or ``'bilinear_corners'``,
            where the middles of the outer cells stay at the corners. Defaults to ``'deconv'``.
        init_cfg: Defaults to Kaiming by the outputs of the layers, as published.

    Raises:
        ValueError: ``channels`` has another length, or an unknown ``upsample``.
    """

    # What torch.nn.functional.interpolate takes for each.
    INTERPOLATIONS: dict[str, dict[str, Any]] = dict(
        bilinear=dict(mode='bilinear', align_corners=False),
        bilinear_corners=dict(mode='bilinear', align_corners=True),
    )

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512, 512),
        channels: Sequence[Sequence[int]] = ((512, 512), (256, 256), (128, 128), (64, 64)),
        last_skip: bool = True,
        padded: bool = True,
        upsample: str = 'deconv',
        init_cfg=dict(type='Kaiming', layer=['Conv2d', 'ConvTranspose2d']),  # noqa: B006
    ):
        super().__init__(init_cfg)
        if len(channels) != len(in_channels) - 1:
            raise ValueError(
                f'UNet: channels={channels!r} are {len(channels)} steps, expected '
                f'{len(in_channels) - 1} between in_channels={in_channels!r}'
            )
        known = ('deconv', *self.INTERPOLATIONS)
        if upsample not in known:
            raise ValueError(f'UNet: upsample={upsample!r}, expected one of {known}')
        self.padded = padded
        self.upsample = upsample
        levels = in_channels[-2::-1]
        self.has_skip = [True] * (len(levels) - 1) + [last_skip]
        self.doubles = ModuleList()
        self.convs = ModuleList()
        width = in_channels[-1]
        for step, level, has_skip in zip(channels, levels, self.has_skip, strict=True):
            if upsample == 'deconv':
                self.doubles.append(nn.ConvTranspose2d(width, step[0], 2, stride=2))
                width = step[0]
            widths = (width + level * has_skip, *step)
            self.convs.append(
                ModuleList(
                    nn.Conv2d(c_in, c_out, 3, padding=int(padded))
                    for c_in, c_out in zip(widths[:-1], step, strict=True)
                )
            )
            width = step[-1]

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Join the levels.

        Args:
            features: For each level ``(N, C, h, w)``, fine to coarse.

        Returns:
            ``(N, channels[-1][-1], h, w)`` at the stride of the finest level, and of its size if
            the convolutions are padded.
        """
        *finer, x = features
        steps = zip(reversed(finer), self.convs, self.has_skip, strict=True)
        for i, (level, convolutions, has_skip) in enumerate(steps):
            x = self._double(x, i, level.shape[-2:])
            if has_skip:
                x = torch.cat([cut_middle(level, x.shape[-2:]), x], 1)
            for convolution in convolutions:
                x = F.relu(convolution(x))
        return x

    def _double(self, x: torch.Tensor, step: int, size: Sequence[int]) -> torch.Tensor:
        """The map with twice the sides; if padded with those of the level it comes to."""
        if self.upsample != 'deconv':
            options = dict(scale_factor=2) if not self.padded else dict(size=size)
            return F.interpolate(x, **options, **self.INTERPOLATIONS[self.upsample])
        if not self.padded:
            return self.doubles[step](x)
        return self.doubles[step](x, output_size=size)
