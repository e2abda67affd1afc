"""Images through a network in tiles of one size, of which only the cores are used."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs


@TASK_UTILS.register_module()
class CoreInference:
    """Run a network in tiles of one size, use the core of each, and average where cores overlap.

    So the program of LSC-CNN (Sam et al., TPAMI 2020) tests its network, which it trains on crops
    of the size of the tiles. Cores begin at multiples of ``step``. At the edges of an image, where
    a tile around its core would reach beyond, tiles are shifted back, and neighbouring cores
    joined: they reach to the edge.

    :class:`SlideInference`, whose tiles do not overlap in their cores, gives back what the network
    gives for the whole image; this does not, where tiles begin inside of the cells of a layer.

    Args:
        source: Output that is put together, a map; the others are left out. Defaults to
            ``'boxes'``.
        stride: Input pixels per cell of this output. Defaults to 2.
        crop_size: Side of a tile in pixels. An image that is smaller is one tile as it is padded.
            Defaults to 224.
        core_size: Side of its core. Defaults to 80.
        step: Pixels from core to core. Defaults to 72.

    Raises:
        ValueError: ``step <= core_size < crop_size`` does not hold, or one of them is no positive
            multiple of the stride.

    Examples:
        >>> def run(inputs, padding_mask=None):
        ...     return dict(boxes=torch.nn.functional.avg_pool2d(inputs, 2))
        >>> image = torch.rand(1, 1, 48, 70)
        >>> tiled = CoreInference(crop_size=32, core_size=12, step=8)(run, image)
        >>> torch.allclose(tiled['boxes'], run(image)['boxes'])
        True
    """

    def __init__(
        self,
        source: str = 'boxes',
        stride: int = 2,
        crop_size: int = 224,
        core_size: int = 80,
        step: int = 72,
    ):
        sizes = (step, core_size, crop_size)
        if not 0 < step <= core_size < crop_size or any(size % stride for size in sizes):
            raise ValueError(
                f'CoreInference: crop_size={crop_size!r}, core_size={core_size!r}, step={step!r}, '
                f'expected step <= core_size < crop_size, positive multiples of stride={stride!r}'
            )
        self.source = source
        self.stride = stride
        # In cells, as everything below.
        self.step, self.core, self.crop = (size // stride for size in sizes)

    def __call__(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor,
        data_samples: Sequence[CrowdDataSample] | None = None,
    ) -> Outputs:
        """Output of a batch.

        Args:
            run: The network, ``run(inputs, padding_mask=None) -> outputs``.
            inputs: ``(N, C, H, W)``.
            data_samples: One sample per image, whose ``img_shape`` says where the padding begins;
                tiles have none. Defaults to None, no padding.

        Returns:
            ``source``, ``(N, c, H / stride, W / stride)`` rounded up, 0 in the padding.

        Raises:
            KeyError: The network has no output ``source``.
            ValueError: It has another stride.
        """
        shapes = [tuple(inputs.shape[-2:])] * len(inputs)
        if data_samples is not None:
            shapes = [tuple(sample.img_shape) for sample in data_samples]
        images = [self._image(run, inputs[i : i + 1], shape) for i, shape in enumerate(shapes)]
        return {self.source: torch.cat(images)}

    def _image(self, run: Callable[..., Outputs], image: Tensor, shape: tuple[int, int]) -> Tensor:
        """``(1, c, h, w)`` of one image ``(1, C, H, W)``, of which this shape is no padding."""
        padded = image.shape[-2:]
        size = [-(-side // self.stride) for side in padded]
        weight = image.new_zeros(size)
        total: Tensor | None = None
        down, across = (self._spans(side, whole) for side, whole in zip(shape, padded, strict=True))
        for rows in down:
            for columns in across:
                pixels = image[..., rows.pixels, columns.pixels]
                values = self._take(run(pixels), pixels.shape[-2:])
                if total is None:
                    total = values.new_zeros(1, values.shape[1], *size)
                total[..., rows.cells, columns.cells] += values[..., rows.core, columns.core]
                weight[rows.cells, columns.cells] += 1
        assert total is not None  # there is a tile
        return total / weight.clamp(min=1)

    def _take(self, outputs: Outputs, size: Sequence[int]) -> Tensor:
        if self.source not in outputs:
            raise KeyError(
                f'CoreInference: source={self.source!r} is none of the outputs {list(outputs)}'
            )
        values = outputs[self.source]
        if tuple(values.shape[2:]) != tuple(side // self.stride for side in size):
            raise ValueError(
                f'CoreInference: the output {self.source!r} of {tuple(values.shape)} for a tile of '
                f'{tuple(size)} pixels (h, w) has not the stride {self.stride}'
            )
        return values

    def _spans(self, side: int, padded: int) -> list['Span']:
        """Tiles along one side of the image, in pixels; those of a short one are as padded."""
        crop = self.crop * self.stride
        if side < crop:
            cells = slice(0, -(-side // self.stride))
            return [Span(slice(0, padded), cells, cells)]
        size = -(-side // self.stride)
        spans = []
        for start, length in cores(size, self.crop, self.core, self.step):
            start = min(start, size - length)
            tile = min(max(start - (self.crop - length) // 2, 0), size - self.crop)
            first = min(tile * self.stride, side - crop)
            core = slice(start - tile, start - tile + length)
            spans.append(Span(slice(first, first + crop), slice(start, start + length), core))
        return spans


class Span(NamedTuple):
    """Rows or columns of a tile.

    Attributes:
        pixels: Of the image.
        cells: Those of its core, in the map of the image.
        core: The same in the map of the tile.
    """

    pixels: slice
    cells: slice
    core: slice


def cores(size: int, crop: int, core: int, step: int) -> list[tuple[int, int]]:
    """Begin and length of the cores along one side.

    Args:
        size: Of the image, at least ``crop``.
        crop: Of a tile.
        core: Of its core.
        step: From core to core.

    Returns:
        Where a tile around its core would begin at the edge of the image or before, or end behind
        it after one that reaches it, the core is joined to the one before it.

    Examples:
        >>> cores(160, crop=112, core=40, step=36)
        [(0, 76), (72, 40), (108, 52)]
    """
    if size == crop:
        return [(0, size)]
    around = (crop - core) // 2
    found = [(0, core)]
    reach = core + around  # of the last tile, if it were not shifted
    start = 0
    while start + core < size:
        start += step
        begin = start - around
        if begin <= 0 or (reach >= size and begin + crop > size):
            first, _ = found[-1]
            found[-1] = (first, min(start + core, size) - first)
        else:
            found.append((start, core))
            reach = start + core + around
    return found
