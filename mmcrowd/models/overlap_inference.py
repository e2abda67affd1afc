"""Large images through a network in tiles of one size, whose overlaps are averaged."""

import math
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample
from mmcrowd.structures.padding import padding_mask

from .counters.outputs import Outputs, map_stride, map_tensors


@TASK_UTILS.register_module()
class OverlapInference:
    """Run a network in tiles of one size, and average the maps where tiles overlap.

    Tiles begin at multiples of ``step``; the last one of a row or column is shifted back, so that
    it ends with the image, and overlaps the one before it. So are images of NWPU-Crowd tested by
    the programs of its authors (576 x 768, without other overlap). A network that was trained on
    crops of that size sees no other size then; :class:`SlideInference`, whose tiles have a margin
    that only gives context, comes closer to the outputs of the whole image.

    Args:
        crop_size: Height and width of a tile in pixels. A smaller image is one tile.
        step: Pixels from tile to tile, down and across, not more than ``crop_size``. Defaults to
            None, ``crop_size``.
        whole_pixels: A batch whose images have fewer pixels and no padding goes through as a whole,
            as in the program of IIM. Defaults to 0, none.

    Raises:
        ValueError: A number is not positive, or ``step`` is larger than the tiles.

    Examples:
        >>> import torch
        >>> def run(inputs, padding_mask=None):
        ...     return dict(density=torch.nn.functional.avg_pool2d(inputs, 4))
        >>> image = torch.rand(1, 1, 48, 72)
        >>> tiled = OverlapInference((32, 32))(run, image)
        >>> torch.allclose(tiled['density'], run(image)['density'])
        True
    """

    def __init__(
        self,
        crop_size: Sequence[int],
        step: Sequence[int] | None = None,
        whole_pixels: int = 0,
    ):
        self.crop_size = tuple(crop_size)
        self.step = tuple(step or crop_size)
        self.whole_pixels = whole_pixels
        sides = zip(self.step, self.crop_size, strict=True)
        if not all(0 < step <= side for step, side in sides):
            raise ValueError(
                f'OverlapInference: crop_size={crop_size!r}, step={step!r}, expected positive '
                'pixels, of the step not more than of the tiles'
            )

    def __call__(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor,
        data_samples: Sequence[CrowdDataSample] | None = None,
    ) -> Outputs:
        """Outputs of a batch.

        Args:
            run: The network, ``run(inputs, padding_mask=None) -> outputs``, all of them maps.
            inputs: ``(N, C, H, W)``.
            data_samples: One sample per image, whose ``img_shape`` says where the padding begins.
                Defaults to None, no padding.

        Returns:
            The outputs of the network, each the mean over the tiles that have a cell.

        Raises:
            ValueError: An output is no map, or tiles begin inside one of its cells.
        """
        size = (inputs.shape[-2], inputs.shape[-1])
        mask = None if data_samples is None else padding_mask(inputs, data_samples)
        if math.prod(size) < self.whole_pixels and (mask is None or not mask.any()):
            return run(inputs, padding_mask=mask)
        sums: list[Tensor] = []
        weights: list[Tensor] = []
        for rows, columns in self._tiles(size):
            outputs = run(
                inputs[..., rows, columns],
                padding_mask=None if mask is None else mask[:, rows, columns],
            )
            maps: list[Tensor] = []
            map_tensors(maps.append, outputs)
            tile = (rows.stop - rows.start, columns.stop - columns.start)
            for number, values in enumerate(maps):
                stride = self._stride(values, tile, (rows.start, columns.start))
                if number == len(sums):
                    whole = [
                        cells + (side - part) // stride
                        for cells, side, part in zip(values.shape[2:], size, tile, strict=True)
                    ]
                    sums.append(values.new_zeros((*values.shape[:2], *whole)))
                    weights.append(values.new_zeros(whole))
                top, left = rows.start // stride, columns.start // stride
                height, width = values.shape[2:]
                place = (..., slice(top, top + height), slice(left, left + width))
                sums[number][place] += values
                weights[number][place] += 1
        means = iter([total / weight for total, weight in zip(sums, weights, strict=True)])
        return map_tensors(lambda _: next(means), outputs)

    def _tiles(self, size: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each tile, row by row."""
        rows, columns = (
            [slice(start, start + min(crop, side)) for start in starts(side, crop, step)]
            for side, crop, step in zip(size, self.crop_size, self.step, strict=True)
        )
        for row in rows:
            for column in columns:
                yield row, column

    def _stride(self, values: Tensor, tile: tuple[int, int], origin: tuple[int, int]) -> int:
        """Pixels per cell of a map of a tile."""
        stride = None
        if values.ndim == 4 and all(values.shape):
            stride = map_stride(values.shape[2:], tile, round(tile[0] / values.shape[2]))
        if stride is None:
            raise ValueError(
                f'OverlapInference: an output of {tuple(values.shape)} is no map of a tile of '
                f'{tile} pixels (h, w), so that it cannot be averaged'
            )
        if any(start % stride for start in origin):
            raise ValueError(
                f'OverlapInference: a tile begins at {origin} (row, column), which is inside a '
                f'cell of {stride} pixels; expected crop_size={self.crop_size}, step={self.step} '
                'and pad_size_divisor of the data_preprocessor to be multiples of it'
            )
        return stride


def starts(side: int, crop: int, step: int) -> list[int]:
    """First row or column of each tile.

    Examples:
        >>> starts(1600, crop=768, step=768)
        [0, 768, 832]
    """
    last = max(side - crop, 0)
    return [*range(0, last, step), last]
