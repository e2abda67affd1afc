import itertools
from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.ops.cells import cell_centre
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS


@MODELS.register_module()
class PointHead(BaseModule):
    """Propose points around a regular grid, with the scores of background and person.

    Each feature cell has ``rows x cols`` reference points, which share it out evenly: with the
    defaults they are 4 pixels apart, at 1.5 and 5.5 pixels in a cell of 8. Two branches of 3x3
    convolutions, with ReLU between them, give each reference point an offset and two logits (Song
    et al., ICCV 2021).

    Proposals are in row-major order of the whole grid, so the logits of class 1, seen as
    ``(N, h * rows, w * cols)``, are a score map. Its cells are those of a density map at stride
    ``in_stride / rows``: a :class:`DensityHead` with that ``out_stride`` gives one that a density
    loss can train on the same backbone and neck.

    Both last layers start near 0: the first proposals lie on the grid, with scores of a half.

    Args:
        in_channels: Channels of the features.
        mid_channels: Channels of the 3x3 convolutions before the last one, in each branch. Defaults
            to (256, 256).
        in_stride: Input pixels per feature cell. Defaults to 8.
        points_per_cell: Rows and columns of reference points in a feature cell. Defaults to (2, 2).
        offset_scale: Input pixels per unit of the regression's output. Defaults to 100.
        reference_shift: Added to both coordinates of the reference points, in input pixels.
            Defaults to 0; 0.5 gives the places 2 and 6 in a cell of 8 that the published program of
            P2PNet has, which counts from the corner of the first pixel and not from its centre.
        norm_cfg: Normalisation of the 3x3 convolutions before the last one. Defaults to None.
        init_cfg: Defaults to Kaiming for the convolutions, normal with deviation 1e-4 for the last.

    Attributes:
        out_stride: Input pixels between two rows of reference points, rounded down.
        size_divisor: Sides of the input must be multiples of this, ``in_stride``, or there
            may be no proposals at the right and the lower edge.

    Raises:
        ValueError: If ``points_per_cell`` is not two positive numbers.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: Sequence[int] = (256, 256),
        in_stride: int = 8,
        points_per_cell: tuple[int, int] = (2, 2),
        offset_scale: float = 100.0,
        reference_shift: float = 0.0,
        norm_cfg: dict | None = None,
        init_cfg=dict(  # noqa: B006
            type='Kaiming',
            layer='Conv2d',
            mode='fan_in',
            override=[
                dict(type='Normal', name='predict_offsets', std=1e-4),
                dict(type='Normal', name='predict_logits', std=1e-4),
            ],
        ),
    ):
        super().__init__(init_cfg)
        if len(points_per_cell) != 2 or min(points_per_cell) < 1:
            raise ValueError(
                f'points_per_cell={points_per_cell!r}, expected rows and columns, at least 1 each'
            )
        self.in_stride = self.size_divisor = in_stride
        self.points_per_cell = rows, cols = tuple(points_per_cell)
        self.out_stride = max(in_stride // rows, 1)
        self.offset_scale = offset_scale
        self.reference_shift = reference_shift
        channels = (in_channels, *mid_channels)
        self.offset_convs, self.logit_convs = (
            nn.Sequential(
                *(
                    ConvModule(c_in, c_out, 3, padding=1, norm_cfg=norm_cfg)
                    for c_in, c_out in itertools.pairwise(channels)
                )
            )
            for _ in range(2)
        )
        # Channel (row * cols + col) * 2 + k is x or y, background or person.
        self.predict_offsets = nn.Conv2d(channels[-1], rows * cols * 2, 3, padding=1)
        self.predict_logits = nn.Conv2d(channels[-1], rows * cols * 2, 3, padding=1)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Proposals of a batch, R = h * rows * w * cols for each image.

        Args:
            features: ``(N, C, h, w)`` at ``in_stride``, or a backbone's tuple of levels, of which
                the first is taken.

        Returns:
            ``points`` ``(N, R, 2)``, ``(x, y)`` in input pixels, and ``logits`` ``(N, R, 2)`` of
            background and person; float32 under autocast, too.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        offsets = self._per_point(self.predict_offsets(self.offset_convs(features)))
        logits = self._per_point(self.predict_logits(self.logit_convs(features)))
        reference = self.reference_points(features.shape[-2:], offsets)
        return dict(points=reference + self.offset_scale * offsets, logits=logits)

    def reference_points(self, size: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
        """Reference points of an image.

        Args:
            size: Height and width ``(h, w)`` of the features.
            like: Gives device and dtype.

        Returns:
            ``(R, 2)``, ``(x, y)`` in input pixels, row by row.
        """
        y, x = (
            cell_centre(
                torch.arange(cells * parts, device=like.device, dtype=like.dtype),
                self.in_stride / parts,
            )
            for cells, parts in zip(size, self.points_per_cell, strict=True)
        )
        y, x = torch.meshgrid(y, x, indexing='ij')
        return torch.stack((x, y), -1).flatten(0, 1) + self.reference_shift

    def _per_point(self, maps: torch.Tensor) -> torch.Tensor:
        """Two values per reference point: ``(N, rows * cols * 2, h, w) -> (N, R, 2)``."""
        # Positions need more digits than bfloat16 has.
        maps = at_least_float32(maps).unflatten(1, (*self.points_per_cell, 2))
        return maps.permute(0, 4, 1, 5, 2, 3).reshape(len(maps), -1, 2)
