"""Head of PET (Liu, Lu, Cao and Liu: *Point-Query Quadtree for Crowd Counting, Localization, and
More*, ICCV 2023)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from mmcrowd.models.attention import (
    DecoderLayer,
    WindowEncoder,
    from_windows,
    grid_encoding,
    mlp,
    padded_cells,
    to_windows,
    usable_mask,
)
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS

# Cells of 8 pixels: the window of the decoder for sparse queries, and a cell of the split map.
SPLIT = (8, 16)


class Grid(NamedTuple):
    """One of the two sets of queries.

    Attributes:
        name: ``'sparse'`` or ``'dense'``.
        stride: Input pixels between two queries.
        window: Height and width of the windows of the decoder, in queries.
        memory_window: The same windows in cells of 8 pixels.
    """

    name: str
    stride: int
    window: tuple[int, int]
    memory_window: tuple[int, int]


SPARSE = Grid('sparse', 8, SPLIT, SPLIT)
DENSE = Grid('dense', 4, (4, 8), (2, 4))


@MODELS.register_module()
class PETHead(BaseModule):
    """Ask points of a sparse and of a dense grid, wherever a region needs them, for the person
    nearby.

    An encoder with attention inside of windows refines the features at stride 8. From their means
    over regions of 64 x 128 pixels the splitter tells which ones are crowded. The queries, every 8
    pixels and every 4, begin as the features at their places; one decoder for both lets the queries
    of a window look at each other and at the encoded features of the same window. Linear layers
    then give each query two logits and a way of up to ``reach`` pixels along each axis.

    In training all queries are decoded. In evaluation the dense ones are in the regions whose split
    value is above a half and the sparse ones in those below; the others have a person's probability
    of 0.

    Without ``keep_padding`` no query looks at padding, the splitter takes means over image cells,
    and queries in the padding count as absent. With it they are absent in windows of the decoder
    that are wholly padding only, and beside valid cells they take part in everything: what the
    published program does, in which the results of the former become NaN.

    Args:
        in_channels: Channels of the features at strides 4 and 8. Defaults to (256, 256).
        channels: Channels of encoder and decoder, divisible by 4. Defaults to 256.
        num_heads: Heads of the attentions. Defaults to 8.
        feedforward_channels: Channels between the linear layers of encoder and decoder. Defaults
            to 512.
        encoder_windows: Height and width of the windows of each layer of the encoder, in cells of 8
            pixels, divisors of 32. Defaults to two layers of (16, 32) and two of (8, 16).
        num_decoder_layers: Layers of the decoder. Defaults to 2.
        reach: Longest way from a query to its point along each axis, in input pixels. The published
            program has the side of its training crops. Defaults to 256.
        keep_padding: See above. Defaults to False.
        init_cfg: Defaults to None: matrices of encoder and decoder start by Xavier's rule, other
            layers as PyTorch makes them.

    Attributes:
        out_stride: Input pixels between two dense queries.
        size_divisor: Sides of the input must be multiples of this.

    Raises:
        ValueError: A window of the encoder does not divide 32 cells.
    """

    needs_padding_mask = True
    out_stride = DENSE.stride
    size_divisor = 256

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 256),
        channels: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 512,
        encoder_windows: Sequence[tuple[int, int]] = ((16, 32), (16, 32), (8, 16), (8, 16)),
        num_decoder_layers: int = 2,
        reach: float = 256.0,
        keep_padding: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        cells = self.size_divisor // SPARSE.stride
        if any(side < 1 or cells % side for window in encoder_windows for side in window):
            raise ValueError(
                f'encoder_windows={encoder_windows!r}, expected sides that divide {cells}'
            )
        self.reach = reach
        self.keep_padding = keep_padding
        self.projections = ModuleList(nn.Conv2d(c_in, channels, 1) for c_in in in_channels)
        self.encoder = WindowEncoder(channels, encoder_windows, num_heads, feedforward_channels)
        self.decoder = ModuleList(
            DecoderLayer(channels, num_heads, feedforward_channels)
            for _ in range(num_decoder_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.predict_split = nn.Conv2d(channels, 1, 1)
        self.predict_sparse_logits, self.predict_dense_logits = (
            nn.Linear(channels, 2) for _ in range(2)
        )
        # Ways go (y, x), as in the published parameters.
        self.sparse_offsets, self.dense_offsets = (
            mlp((channels, channels, channels, 2)) for _ in range(2)
        )

    def forward(self, features: Sequence[Tensor], padding_mask: Tensor) -> dict:
        """Proposals of a batch.

        Args:
            features: ``(N, C, H / 4, W / 4)`` and ``(N, C, H / 8, W / 8)``.
            padding_mask: ``(N, H, W)`` bool, True in the padding.

        Returns:
            ``points`` ``(N, R, 2)``, ``(x, y)`` in input pixels, and ``logits`` ``(N, R, 2)`` of
            background and person, of the sparse queries row by row and then of the dense ones, in
            training too with a person's probability of 0 in the regions of the other kind;
            ``split_map`` ``(N, H / 64, W / 128)``, probabilities that a region is crowded, NaN
            where it is padding; and dicts ``sparse`` and ``dense`` of parts of them: ``points`` and
            ``logits``, ``region`` ``(N, R')``, the probability that the region of the query is of
            that kind, and ``present`` ``(N, R')`` bool, whether there is such a query. Float32
            under autocast, too.
        """
        fine, coarse = (
            project(level) for project, level in zip(self.projections, features, strict=False)
        )
        padded = padded_cells(padding_mask, coarse.shape[-2:])
        position = grid_encoding(padded, coarse.shape[1]).to(coarse)
        memory = self.encoder(coarse, position, padded)
        split_map = self._split(memory, padded)
        context = (memory, position, padded, padding_mask)
        sparse = self._propose(SPARSE, coarse, 1 - split_map, *context)
        dense = self._propose(DENSE, fine, split_map, *context)
        points, logits, region, present = (
            torch.cat((sparse[name], dense[name]), 1)
            for name in ('points', 'logits', 'region', 'present')
        )
        if self.training:
            # What evaluation would give, to be counted; the loss goes by the two dicts.
            background, person = logits.unbind(-1)
            person = person.masked_fill(~(present & (region > 0.5)), -torch.inf)
            logits = torch.stack((background, person), -1)
        return dict(points=points, logits=logits, split_map=split_map, sparse=sparse, dense=dense)

    def _split(self, memory: Tensor, padded: Tensor) -> Tensor:
        """``(N, h, w)`` split map, NaN in regions that are padding."""
        inside = (~padded[:, None]).to(memory)
        share = F.avg_pool2d(inside, SPLIT)
        if self.keep_padding:
            mean = F.avg_pool2d(memory, SPLIT)
        else:
            mean = F.avg_pool2d(memory * inside, SPLIT) / share.clamp(min=1 / (8 * 16))
        split = at_least_float32(self.predict_split(mean)).sigmoid()
        return split.masked_fill(share == 0, torch.nan)[:, 0]

    def _propose(
        self,
        grid: Grid,
        features: Tensor,
        region: Tensor,
        memory: Tensor,
        position: Tensor,
        padded: Tensor,
        padding_mask: Tensor,
    ) -> dict[str, Tensor]:
        """Proposals of one set of queries.

        Args:
            grid: Which set.
            features: ``(N, C, h, w)``, the contents of the queries.
            region: ``(N, h', w')``, probabilities that a region is of the kind of the set.
            memory: ``(N, C, H / 8, W / 8)`` encoded features.
            position: Encoding of their positions, of the same shape.
            padded: ``(N, H / 8, W / 8)`` bool, which of them are padding.
            padding_mask: ``(N, H, W)`` bool, True in the padding.
        """
        size = features.shape[-2:]
        rows, columns = (
            torch.arange(cells, device=features.device) * grid.stride + grid.stride // 2
            for cells in size
        )
        encoding = grid_encoding(padding_mask, features.shape[1], (rows, columns)).to(features)
        # By windows: which are decoded, and which queries are padding.
        memory_padding = to_windows(padded[:, None], grid.memory_window)[..., 0]
        query_padding = to_windows(padded_cells(padding_mask, size)[:, None], grid.window)[..., 0]
        is_padding = memory_padding.all(1)
        region_of_query = _enlarge(region, size)
        chosen = ~is_padding
        if not self.training:
            region_of_window = to_windows(region_of_query[:, None], grid.window)[:, 0, 0]
            chosen = chosen & (region_of_window > 0.5)

        tokens = [to_windows(maps, grid.window) for maps in (features, encoding)]
        seen = [to_windows(maps, grid.memory_window) for maps in (memory, position)]
        # Queries that none looks at.
        unseen = torch.zeros_like(query_padding) if self.keep_padding else query_padding
        inputs = [*tokens, *seen, usable_mask(unseen), usable_mask(memory_padding)]
        if self.training:
            # All windows, whatever they hold: the host need not wait to know which.
            decoded = self._decode(*inputs)
        else:
            decoded = torch.zeros_like(tokens[0])
            if chosen.any():
                some = self._decode(*(x[chosen] for x in inputs))
                decoded[chosen] = some.to(decoded)
        present = chosen[:, None].expand_as(query_padding)
        if not self.keep_padding:
            present = present & ~query_padding

        decoded, present = (
            from_windows(x, grid.window, size).flatten(2).transpose(1, 2)
            for x in (decoded, present[..., None])
        )
        present = present[..., 0]
        offsets = at_least_float32(getattr(self, f'{grid.name}_offsets')(decoded)).sigmoid()
        y, x = torch.meshgrid(rows, columns, indexing='ij')
        places = torch.stack((x, y), -1).flatten(0, 1)
        points = places + self.reach * (2 * offsets.flip(-1) - 1)
        logits = at_least_float32(getattr(self, f'predict_{grid.name}_logits')(decoded))
        if not self.training:
            logits[..., 1] = logits[..., 1].masked_fill(~present, -torch.inf)
        return dict(
            points=points, logits=logits, region=region_of_query.flatten(1), present=present
        )

    def _decode(
        self,
        queries: Tensor,
        encoding: Tensor,
        memory: Tensor,
        position: Tensor,
        query_padding: Tensor,
        memory_padding: Tensor,
    ) -> Tensor:
        """Decode the queries of windows ``(B, R, C)`` with what is in the windows ``(B, L, C)``."""
        for layer in self.decoder:
            queries = layer(queries, encoding, memory, position, query_padding, memory_padding)
        return self.norm(queries)


def _enlarge(region: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat the values of regions ``(N, h, w)`` for all their queries, ``(N, *size)``."""
    return F.interpolate(region[:, None], size=tuple(size), mode='nearest')[:, 0]
