"""Attention of a token to the whole image and to a region that it chooses (Lin, Ma, Ji, Wang and
Hong: *Boosting Crowd Counting via Multifaceted Attention*, CVPR 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS


@MODELS.register_module()
class RegionAttentionEncoder(BaseModule):
    """Transformer encoder with learnable region attention, on the pooled level of a backbone.

    The level is max-pooled by two, so that VGG's before its fifth pooling becomes the end of VGG.
    Its cells are the tokens, without any position encoding, of ``num_layers`` post-norm encoder
    layers (Vaswani et al., NeurIPS 2017) with :class:`RegionAttention`. The result is enlarged
    bilinearly to the size that the level had.

    Args:
        channels: Channels of the level. Defaults to 512.
        num_layers: Defaults to 4.
        num_heads: Defaults to 2.
        feedforward_channels: Defaults to 2048.
        dropout: Of the attention, of both branches and inside the feed-forward part, in training.
            Defaults to 0.1.
        global_factor: See :class:`RegionAttention`. Defaults to 0.1, as in the published program.
        init_cfg: Defaults to None: the attention starts by Xavier without biases, all else as
            PyTorch makes it, as published.
    """

    needs_padding_mask = True

    def __init__(
        self,
        channels: int = 512,
        num_layers: int = 4,
        num_heads: int = 2,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        global_factor: float = 0.1,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        self.layers = nn.ModuleList(
            RegionAttentionLayer(channels, num_heads, feedforward_channels, dropout, global_factor)
            for _ in range(num_layers)
        )

    def forward(
        self, features: Tensor | Sequence[Tensor], padding_mask: Tensor | None = None
    ) -> dict[str, Any]:
        """Encode a batch.

        Args:
            features: ``(N, C, h, w)``, or a sequence of levels, of which the last is taken.
            padding_mask: ``(N, H, W)`` bool in input pixels, True in the padding. A token of which
                all is padding is neither attended to nor part of a region. Defaults to None.

        Returns:
            ``features`` ``(N, C, h, w)``, and ``region_features``, for each layer
            ``(N, C, h // 2, w // 2)``: the sum of the tokens of each token's region, see
            :class:`RegionAttentionLayer`.
        """
        if not isinstance(features, Tensor):
            features = features[-1]
        x = F.max_pool2d(features, 2)
        size = (x.shape[2], x.shape[3])
        padding = None
        if padding_mask is not None:
            inside = F.adaptive_max_pool2d((~padding_mask)[:, None].to(x), size)
            padding = (inside == 0).flatten(1)
        tokens = x.flatten(2).transpose(1, 2)
        regions = []
        for layer in self.layers:
            tokens, region = layer(tokens, size, padding)
            regions.append(region.transpose(1, 2).unflatten(2, size))
        x = tokens.transpose(1, 2).unflatten(2, size)
        x = F.interpolate(x, size=features.shape[2:], mode='bilinear', align_corners=True)
        return dict(features=x, region_features=regions)


class RegionAttentionLayer(nn.Module):
    """Encoder layer: :class:`RegionAttention`, then two linear layers with a ReLU between them.

    Each is added to its input, and the sum is normalised.

    Args:
        channels: C of the tokens.
        num_heads: Of the attention.
        feedforward_channels: Between the two linear layers.
        dropout: See :class:`RegionAttentionEncoder`.
        global_factor: See :class:`RegionAttention`.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        feedforward_channels: int,
        dropout: float,
        global_factor: float,
    ):
        super().__init__()
        self.attention = RegionAttention(channels, num_heads, dropout, global_factor)
        self.expand = nn.Linear(channels, feedforward_channels)
        self.reduce = nn.Linear(feedforward_channels, channels)
        self.attention_norm = nn.LayerNorm(channels)
        self.feedforward_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, size: tuple[int, int], padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer.

        Args:
            tokens: ``(N, L, C)``, row by row.
            size: Rows and columns ``(h, w)``, L = h * w.
            padding: ``(N, L)`` bool, tokens without a part in anything; None for none.

        Returns:
            ``(N, L, C)`` tokens, and ``(N, L, C)`` the sums of the tokens that came in, weighted
            by the regions, which the local attention regularisation makes alike.
        """
        attended, mask = self.attention(tokens, size, padding)
        region = mask @ tokens
        tokens = self.attention_norm(tokens + self.dropout(attended))
        change = self.reduce(self.dropout(F.relu(self.expand(tokens))))
        return self.feedforward_norm(tokens + self.dropout(change)), region


class RegionAttention(nn.Module):
    r"""Multi-head attention with logits of the whole image and of a region.

    .. math::
        A = \mathrm{softmax}\left(\gamma \frac{q k^T}{\sqrt d} + M \odot \frac{q' k'^T}{\sqrt d}
            \right) v

    with the soft region mask M of :func:`region_mask`. The probabilities of its two corners are
    softmaxes of products of two more pairs of queries and keys, without the root of d.

    Args:
        channels: C of the tokens.
        num_heads: The heads have d = C / num_heads channels.
        dropout: Of the attention, in training.
        global_factor: The factor gamma.

    Raises:
        ValueError: ``num_heads`` does not divide the channels.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float, global_factor: float):
        super().__init__()
        if channels % num_heads:
            raise ValueError(
                f'RegionAttention: num_heads={num_heads}, expected a divisor of {channels} channels'
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.global_factor = global_factor
        # Query, key and value; query and key of the first corner, of the second, of the region.
        self.in_proj = nn.Linear(channels, 9 * channels)
        self.out_proj = nn.Linear(channels, channels)
        for layer in (self.in_proj, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, tokens: Tensor, size: tuple[int, int], padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Attend; the arguments are those of :class:`RegionAttentionLayer`.

        Returns:
            ``(N, L, C)`` and the region masks ``(N, L, L)``, summed over the heads; the second L
            are the tokens of the region.
        """
        projected = self.in_proj(tokens).unflatten(2, (9, self.num_heads, -1))
        q, k, v, first_q, first_k, second_q, second_k, local_q, local_k = projected.permute(
            2, 0, 3, 1, 4
        )
        scale = q.shape[-1] ** -0.5
        padded = None if padding is None else padding[:, None, None]
        first = _softmax(first_q @ first_k.mT, padded)
        second = _softmax(second_q @ second_k.mT, padded)
        mask = region_mask(first, second, size)
        whole, local = scale * (q @ k.mT), scale * (local_q @ local_k.mT)
        weights = _softmax(self.global_factor * whole + mask * local, padded)
        weights = F.dropout(weights, self.dropout, self.training)
        attended = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return self.out_proj(attended), mask.sum(1).to(tokens.dtype)


def region_mask(first: Tensor, second: Tensor, size: tuple[int, int]) -> Tensor:
    r"""Probability that a token lies in the rectangle between two corners.

    A token b lies between the corners if one of them is above and left of it and the other one is
    below and right of it, or each in its row or column. With the probabilities p of the first and q
    of the second corner, and :math:`T_{ab} = 1` where b is neither above nor left of a,

    .. math:: M = (p T) \odot (q T^T) + (p T^T) \odot (q T)

    A product with T is a sum over all tokens up to a row and a column, a cumulative sum along both
    axes; L x L matrices are never multiplied.

    Args:
        first: ``(..., L)`` probabilities of the tokens, row by row.
        second: The same of the other corner.
        size: Rows and columns ``(h, w)``, L = h * w.

    Returns:
        ``(..., L)``, from 0 to 2: a token on which both corners fall counts twice.

    Examples:
        From the first token to the second one of a row of three.

        >>> region_mask(torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]), (1, 3))
        tensor([1., 1., 0.])
    """

    def up_to(values: Tensor) -> Tensor:
        return values.cumsum(-1).cumsum(-2)

    def from_on(values: Tensor) -> Tensor:
        return up_to(values.flip(-1, -2)).flip(-1, -2)

    first, second = (corner.unflatten(-1, size) for corner in (first, second))
    return (up_to(first) * from_on(second) + from_on(first) * up_to(second)).flatten(-2)


def _softmax(logits: Tensor, padding: Tensor | None) -> Tensor:
    """Probabilities along the last axis, at least float32, without those that are padding."""
    logits = at_least_float32(logits)
    if padding is not None:
        logits = logits.masked_fill(padding, -torch.inf)
    return logits.softmax(-1)
