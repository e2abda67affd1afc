"""Head of CLTR (Liang, Xu and Bai: *An End-to-End Transformer Model for Crowd Localization*, ECCV
2022)."""

import math

import torch
from mmengine.model import BaseModule, ModuleList, bias_init_with_prob
from torch import Tensor, nn

from mmcrowd.models.attention import (
    ConditionalDecoderLayer,
    grid_encoding,
    mlp,
    padded_cells,
    sine_encoding,
    usable_mask,
)
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS


@MODELS.register_module()
class CLTRHead(BaseModule):
    """Ask a fixed number of learned queries for one person each.

    The decoder is that of Conditional DETR (Meng et al., ICCV 2021). Each query has a reference
    point that does not depend on the image. Behind every layer of the decoder, by the same linear
    layers, each query gives two scores, a point, as a way from its reference point, and the mean
    distance of the person to its nearest neighbours.

    Positions are shares of the sides of the input. So a network that is trained on crops takes
    inputs of that size only; :class:`~mmcrowd.models.tile_inference.TileInference` cuts larger
    images.

    Args:
        channels: Channels of the features and of the decoder, divisible by 4. Defaults to 256.
        num_queries: R, the largest number of persons in an input. Defaults to 500.
        num_layers: Layers of the decoder. Defaults to 6.
        num_heads: Heads of the attentions. Defaults to 8.
        feedforward_channels: Channels between the linear layers of each layer. Defaults to 2048.
        dropout: Share of values that are dropped in training. Defaults to 0.1.
        in_stride: Input pixels per cell of the features. Defaults to 32.
        transpose_reference: Whether a query compares its row with the columns of the cells, and its
            column with their rows, as in the published program. Defaults to False.
        init_cfg: Defaults to None: matrices of the decoder start by Xavier's rule, scores at 0.01,
            points at the reference points, other layers as PyTorch makes them.

    Attributes:
        out_stride: ``in_stride``.
        size_divisor: Sides of the input must be multiples of this, ``in_stride``.
    """

    needs_padding_mask = True

    def __init__(
        self,
        channels: int = 256,
        num_queries: int = 500,
        num_layers: int = 6,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        in_stride: int = 32,
        transpose_reference: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        self.out_stride = self.size_divisor = in_stride
        self.transpose_reference = transpose_reference
        self.embedding = nn.Embedding(num_queries, channels)
        # References and points go (row, column), as in the published parameters.
        self.reference = mlp((channels, channels, 2))
        self.sine_scale = mlp((channels, channels, channels))
        self.layers = ModuleList(
            ConditionalDecoderLayer(channels, num_heads, feedforward_channels, dropout, i == 0)
            for i in range(num_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.predict_logits = nn.Linear(channels, 2)
        self.point_layers = nn.Sequential(*mlp((channels, channels, channels)), nn.ReLU())
        self.predict_points = nn.Linear(channels, 3)

    def init_weights(self) -> None:
        """Start the layers that give scores and points."""
        super().init_weights()
        for layers in (self.reference, self.sine_scale):
            for layer in layers:
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
        nn.init.constant_(self.predict_logits.bias, bias_init_with_prob(0.01))
        nn.init.zeros_(self.predict_points.weight)
        nn.init.zeros_(self.predict_points.bias)

    def forward(self, features: Tensor, padding_mask: Tensor) -> dict:
        """Proposals of a batch.

        Args:
            features: ``(N, C, h, w)`` encoded features.
            padding_mask: ``(N, H, W)`` bool, True in the padding.

        Returns:
            Of the last layer ``points`` ``(N, R, 2)``, ``(x, y)`` in input pixels, ``logits``
            ``(N, R, 2)``, independent of each other, of which the second is that of a person, and
            ``spacing`` ``(N, R)``, the mean distance to the nearest neighbours as a share of the
            width; and as ``auxiliary`` a list of the same dicts of the layers before it. Float32
            under autocast, too.
        """
        padded = padded_cells(padding_mask, features.shape[-2:])
        position = grid_encoding(padded, features.shape[1]).to(features)
        memory, position = (x.flatten(2).transpose(1, 2) for x in (features, position))
        mask = usable_mask(padded.flatten(1))

        embedding = self.embedding.weight.expand(len(features), -1, -1)
        reference = at_least_float32(self.reference(self.embedding.weight)).sigmoid()
        sine = self._encode(reference).to(features).expand_as(embedding)
        x = torch.zeros_like(embedding)
        height, width = padding_mask.shape[-2:]
        size = reference.new_tensor((width, height))
        # As in the program: the reference point that went through a sigmoid comes back, cut off.
        start = reference.clamp(min=1e-5).log() - (1 - reference).clamp(min=1e-5).log()
        layers = []
        for i, layer in enumerate(self.layers):
            scaled = sine if i == 0 else sine * self.sine_scale(x)
            x = layer(x, embedding, scaled, memory, position, mask)
            seen = self.norm(x)
            raw = at_least_float32(self.predict_points(self.point_layers(seen)))
            points = (raw[..., :2] + start).sigmoid().flip(-1) * size
            logits = at_least_float32(self.predict_logits(seen))
            layers.append(dict(points=points, logits=logits, spacing=raw[..., 2].sigmoid()))
        return dict(layers[-1], auxiliary=layers[:-1])

    def _encode(self, reference: Tensor) -> Tensor:
        """``(R, C)`` encodings of reference points ``(R, 2)``, (row, column)."""
        channels = self.embedding.embedding_dim // 2
        if self.transpose_reference:
            reference = reference.flip(-1)
        return sine_encoding(reference * (2 * math.pi), channels).flatten(1)
