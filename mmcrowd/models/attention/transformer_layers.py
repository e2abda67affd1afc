"""Layers of encoders and decoders with attention, normalised behind each part."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn


def mlp(channels: Sequence[int]) -> nn.Sequential:
    """Linear layers between these numbers of channels, with a ReLU behind each but the last.

    Examples:
        >>> [type(layer).__name__ for layer in mlp((8, 4, 2))]
        ['Linear', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for c_in, c_out in itertools.pairwise(channels):
        layers += [nn.Linear(c_in, c_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def usable_mask(padding: Tensor) -> Tensor:
    """Unmask the rows of a key mask that are masked as a whole.

    A softmax over no key at all is not a number. What such a row gives has no meaning, so whoever
    masks must leave its results out.

    Args:
        padding: ``(B, L)`` bool, True for keys that are left out.

    Returns:
        ``(B, L)`` bool.
    """
    return padding & ~padding.all(1, keepdim=True)


class TransformerLayer(BaseModule):
    """Base of the layers: matrices start by Xavier's rule, as in the published programs."""

    def init_weights(self) -> None:
        """Start the matrices of the layer."""
        super().init_weights()
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)


class EncoderLayer(TransformerLayer):
    """Self-attention and two linear layers (Carion et al., ECCV 2020).

    Args:
        channels: Channels of the tokens.
        num_heads: Heads of the attention.
        feedforward_channels: Channels between the linear layers.
        dropout: Share of values that are dropped in training. Defaults to 0.
    """

    def __init__(
        self, channels: int, num_heads: int, feedforward_channels: int, dropout: float = 0.0
    ):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, num_heads, dropout, batch_first=True)
        self.linear1 = nn.Linear(channels, feedforward_channels)
        self.linear2 = nn.Linear(feedforward_channels, channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, padding: Tensor | None = None) -> Tensor:
        """Refine tokens.

        Args:
            x: ``(B, L, C)`` tokens.
            position: ``(B, L, C)`` encoding of their positions, added to queries and keys.
            padding: ``(B, L)`` bool, True for tokens that none attends to, not for all of a
                row. Defaults to None, none.

        Returns:
            ``(B, L, C)``.
        """
        query = x + position
        seen, _ = self.self_attn(query, query, x, padding, need_weights=False)
        x = self.norm1(x + self.dropout(seen))
        hidden = self.linear2(self.dropout(F.relu(self.linear1(x))))
        return self.norm2(x + self.dropout(hidden))


class DecoderLayer(TransformerLayer):
    """Self-attention of queries, attention to a memory, and two linear layers (Carion et al., ECCV
    2020).

    Args:
        channels: Channels of the tokens.
        num_heads: Heads of the attentions.
        feedforward_channels: Channels between the linear layers.
    """

    def __init__(self, channels: int, num_heads: int, feedforward_channels: int):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.linear1 = nn.Linear(channels, feedforward_channels)
        self.linear2 = nn.Linear(feedforward_channels, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        padding: Tensor,
        memory_padding: Tensor,
    ) -> Tensor:
        """Refine queries.

        Args:
            x: ``(B, R, C)`` queries.
            position: ``(B, R, C)`` encoding of their positions, added to queries and keys.
            memory: ``(B, L, C)`` tokens that are looked at.
            memory_position: ``(B, L, C)`` encoding of their positions, added to keys.
            padding: ``(B, R)`` bool, True for queries that none attends to.
            memory_padding: ``(B, L)`` bool, the same for the memory; neither masks a whole row.

        Returns:
            ``(B, R, C)``.
        """
        query = x + position
        x = self.norm1(x + self.self_attn(query, query, x, padding, need_weights=False)[0])
        key = memory + memory_position
        seen, _ = self.cross_attn(x + position, key, memory, memory_padding, need_weights=False)
        x = self.norm2(x + seen)
        return self.norm3(x + self.linear2(F.relu(self.linear1(x))))


class ConditionalDecoderLayer(TransformerLayer):
    """Decoder layer whose attention to the memory has content and position apart (Meng et al.:
    *Conditional DETR for Fast Training Convergence*, ICCV 2021).

    Of each head of the attention to the memory one half compares contents, the other half the
    encoding of the query's reference point with that of the cell.

    Args:
        channels: Channels of the tokens.
        num_heads: Heads of the attentions.
        feedforward_channels: Channels between the linear layers.
        dropout: Share of values that are dropped in training.
        is_first: Whether it is the first layer, whose queries have no content yet: there the
            embedding of the queries and the encoding of the cells are added to the contents.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        feedforward_channels: int,
        dropout: float,
        is_first: bool,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.self_query, self.self_query_position, self.self_key, self.self_key_position = (
            nn.Linear(channels, channels) for _ in range(4)
        )
        self.self_value, self.self_out = (nn.Linear(channels, channels) for _ in range(2))
        self.query, self.query_sine, self.key, self.key_position = (
            nn.Linear(channels, channels) for _ in range(4)
        )
        self.query_position = nn.Linear(channels, channels) if is_first else None
        self.value, self.out = (nn.Linear(channels, channels) for _ in range(2))
        self.linear1 = nn.Linear(channels, feedforward_channels)
        self.linear2 = nn.Linear(feedforward_channels, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def init_weights(self) -> None:
        """Start the matrices; the biases behind the attentions start at 0, as those of
        ``nn.MultiheadAttention``."""
        super().init_weights()
        for layer in (self.self_out, self.out):
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        x: Tensor,
        embedding: Tensor,
        sine: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        memory_padding: Tensor,
    ) -> Tensor:
        """Refine queries.

        Args:
            x: ``(N, R, C)`` queries.
            embedding: ``(N, R, C)``, what is learned for each query.
            sine: ``(N, R, C)`` encoding of their reference points.
            memory: ``(N, L, C)`` tokens that are looked at.
            memory_position: ``(N, L, C)`` encoding of their positions.
            memory_padding: ``(N, L)`` bool, True for tokens that none attends to, not for all of a
                row.

        Returns:
            ``(N, R, C)``.
        """
        seen = self._attend(
            [self.self_query(x) + self.self_query_position(embedding)],
            [self.self_key(x) + self.self_key_position(embedding)],
            self.self_value(x),
        )
        x = self.norm1(x + self.dropout(self.self_out(seen)))
        query, key, key_position = (
            self.query(x),
            self.key(memory),
            self.key_position(memory_position),
        )
        if self.query_position is not None:
            query, key = query + self.query_position(embedding), key + key_position
        seen = self._attend(
            [query, self.query_sine(sine)], [key, key_position], self.value(memory), memory_padding
        )
        x = self.norm2(x + self.dropout(self.out(seen)))
        hidden = self.linear2(self.dropout(F.relu(self.linear1(x))))
        return self.norm3(x + self.dropout(hidden))

    def _attend(
        self,
        query: list[Tensor],
        key: list[Tensor],
        value: Tensor,
        padding: Tensor | None = None,
    ) -> Tensor:
        """Attention whose heads compare all parts of queries and keys, each ``(N, R or L, C)``."""

        def heads(parts: list[Tensor]) -> Tensor:
            split = [part.unflatten(-1, (self.num_heads, -1)) for part in parts]
            return torch.cat(split, -1).transpose(1, 2)

        mask = None if padding is None else ~padding[:, None, None]
        dropout = self.dropout.p if self.training else 0.0
        seen = F.scaled_dot_product_attention(
            heads(query), heads(key), heads([value]), mask, dropout_p=dropout
        )
        return seen.transpose(1, 2).flatten(2)
