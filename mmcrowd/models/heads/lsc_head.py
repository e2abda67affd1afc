"""Head of LSC-CNN (Sam et al.: *Locate, Size and Count*, TPAMI 2020)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class LSCHead(BaseModule):
    """Classify the cells of several scales: which of the boxes of the scale a head has, or none.

    Each scale has 3x3 convolutions of its own, with a ReLU between them.

    Args:
        in_channels: Channels of the levels, the finest first, each twice as fine as the next.
            Defaults to (256, 384, 512, 256).
        mid_channels: Channels of the convolutions before the last. Defaults to (256, 128, 64, 32).
        boxes: Number of boxes of a scale. Defaults to 3.
        in_stride: Input pixels per cell of the finest level. Defaults to 2.
        centred: Whether the box of a coarse cell stands in its middle, see :func:`place_cells`.
            Defaults to False, as published: in its upper left corner.
        init_cfg: Defaults to None: all layers start as PyTorch makes them, as published.

    Attributes:
        out_stride: Input pixels per cell of the finest scale.
        size_divisor: Sides of a batch must be multiples of it.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 384, 512, 256),
        mid_channels: Sequence[int] = (256, 128, 64, 32),
        boxes: int = 3,
        in_stride: int = 2,
        centred: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        self.out_stride = in_stride
        self.size_divisor = in_stride * 2 ** (len(in_channels) - 1)
        self.centred = centred
        self.scales = nn.ModuleList(
            CellClassifier(width, mid_channels, boxes + 1) for width in in_channels
        )

    def forward(self, features: Sequence[Tensor]) -> dict[str, Any]:
        """Classes of a batch.

        Args:
            features: ``(N, C_i, h_i, w_i)``, the finest first, each side twice that of the next.

        Returns:
            ``logits``, for each scale, the finest first, ``(N, boxes + 1, h_i, w_i)``, the
            background last; and ``boxes`` ``(N, S * (boxes + 1), h_0, w_0)``, the probabilities of
            all S scales at the resolution of the finest, without gradient.
        """
        logits = [scale(level) for scale, level in zip(self.scales, features, strict=True)]
        placed = [
            place_cells(values.detach().softmax(1), 2**i, self.centred)
            for i, values in enumerate(logits)
        ]
        return dict(logits=logits, boxes=torch.cat(placed, 1))


class CellClassifier(nn.Module):
    """3x3 convolutions with a ReLU between them.

    Args:
        in_channels: Channels of the features.
        mid_channels: Channels of the convolutions before the last.
        classes: Channels of the last.
    """

    def __init__(self, in_channels: int, mid_channels: Sequence[int], classes: int):
        super().__init__()
        channels = (in_channels, *mid_channels)
        self.hidden = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 3, padding=1)
            for c_in, c_out in zip(channels[:-1], mid_channels, strict=True)
        )
        self.predict = nn.Conv2d(channels[-1], classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, h, w)`` to logits ``(N, classes, h, w)``."""
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.predict(x)


def place_cells(probability: Tensor, factor: int, centred: bool = False) -> Tensor:
    """Bring the classes of a coarse scale to a finer grid, each to one cell of it.

    Args:
        probability: ``(N, c, h, w)``, the background last.
        factor: Fine cells per side of a coarse one.
        centred: Whether it is the cell in the middle, of the two there the first; otherwise the
            one in the upper left corner. Defaults to False.

    Returns:
        ``(N, c, factor * h, factor * w)``; all other cells are background with probability 1.

    Examples:
        >>> place_cells(torch.tensor([[[[0.7]], [[0.3]]]]), 2).tolist()
        [[[[0.699999988079071, 0.0], [0.0, 0.0]], [[0.30000001192092896, 1.0], [1.0, 1.0]]]]
    """
    number, classes, height, width = probability.shape
    placed = probability.new_zeros(number, classes, factor * height, factor * width)
    placed[:, -1] = 1
    first = (factor - 1) // 2 if centred else 0
    placed[:, :, first::factor, first::factor] = probability
    return placed
