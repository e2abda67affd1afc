from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.ops.grid import cut_middle
from mmcrowd.registry import MODELS


@MODELS.register_module()
class LogitHead(BaseModule):
    """How likely a cell belongs to a head, by a 1x1 convolution and a sigmoid.

    Features that are larger than the input, as those of valid convolutions behind a large padding,
    are cut to its size in their middle.

    Args:
        in_channels: Channels of the features. Defaults to 64.
        in_stride: Input pixels per feature cell. Defaults to 1.
        size_divisor: The features reach the edges of images whose sides are multiples of it.
            Defaults to 16, of a U-Net on VGG.
        init_cfg: Defaults to Kaiming by the outputs of the layer, as in TopoCount.

    Attributes:
        out_stride: Input pixels per cell, ``in_stride``.
    """

    # The mask brings the size of the input.
    needs_padding_mask = True

    def __init__(
        self,
        in_channels: int = 64,
        in_stride: int = 1,
        size_divisor: int = 16,
        init_cfg=dict(type='Kaiming', layer='Conv2d'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        self.out_stride = in_stride
        self.size_divisor = size_divisor
        self.predict = nn.Conv2d(in_channels, 1, 1)

    def forward(
        self,
        features: torch.Tensor | Sequence[torch.Tensor],
        padding_mask: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Logits of a batch.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a sequence of levels, of which the first
                is taken.
            padding_mask: ``(N, H, W)``, of which only the size of the input ``(H, W)`` is used.
                Defaults to None: nothing is cut.

        Returns:
            ``logit`` and its sigmoid ``probability``, ``(N, 1, ceil(H / out_stride),
            ceil(W / out_stride))``.
        """
        x = features if isinstance(features, torch.Tensor) else features[0]
        if padding_mask is not None:
            x = cut_middle(x, [-(-side // self.out_stride) for side in padding_mask.shape[-2:]])
        logit = self.predict(x)
        return dict(logit=logit, probability=logit.sigmoid())
