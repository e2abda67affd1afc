from collections.abc import Sequence

import torch
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmcrowd.models.attention import EncoderLayer, grid_encoding, padded_cells, usable_mask
from mmcrowd.registry import MODELS


@MODELS.register_module()
class DETREncoder(BaseModule):
    """Project a feature map and let all of its cells look at each other (Carion et al.: *End-to-End
    Object Detection with Transformers*, ECCV 2020).

    No cell looks at padding. Memory grows with the square of the number of cells.

    Args:
        in_channels: Channels of the features. Defaults to 2048.
        channels: Channels of the result, divisible by 4. Defaults to 256.
        num_layers: Defaults to 6.
        num_heads: Heads of the attentions. Defaults to 8.
        feedforward_channels: Channels between the linear layers of each layer. Defaults to 2048.
        dropout: Share of values that are dropped in training. Defaults to 0.1.
        init_cfg: Defaults to None: matrices of the layers start by Xavier's rule, the projection as
            PyTorch makes it.
    """

    needs_padding_mask = True

    def __init__(
        self,
        in_channels: int = 2048,
        channels: int = 256,
        num_layers: int = 6,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        self.projection = nn.Conv2d(in_channels, channels, 1)
        self.layers = ModuleList(
            EncoderLayer(channels, num_heads, feedforward_channels, dropout)
            for _ in range(num_layers)
        )

    def forward(self, features: Sequence[torch.Tensor], padding_mask: torch.Tensor) -> torch.Tensor:
        """Encode the last level of a backbone.

        Args:
            features: Levels, of which the last ``(N, in_channels, h, w)`` is taken.
            padding_mask: ``(N, H, W)`` bool, True in the padding.

        Returns:
            ``(N, channels, h, w)``.
        """
        maps = self.projection(features[-1])
        padded = padded_cells(padding_mask, maps.shape[-2:])
        position = grid_encoding(padded, maps.shape[1]).to(maps)
        tokens, position = (x.flatten(2).transpose(1, 2) for x in (maps, position))
        mask = usable_mask(padded.flatten(1))
        for layer in self.layers:
            tokens = layer(tokens, position, mask)
        return tokens.transpose(1, 2).unflatten(2, maps.shape[-2:])
