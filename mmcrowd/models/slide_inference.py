"""Large images through a network tile by tile."""

import itertools
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs, map_stride, map_tensors
from .lazy_batch import LazyBatch

# How devices say so that have no error of its own for it.
_NO_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory")


@TASK_UTILS.register_module()
class SlideInference:
    """Run a network in overlapping tiles, and put the outputs of the whole image together.

    Each tile has a core and, around it, a halo that only gives context; where the tile ends at the
    edge of the image it has none. The cores cover the image without overlap, so each cell of an
    output map comes from exactly one tile and nothing is averaged. Where the halo is at least the
    reach of the network to one side (half its receptive field), the outputs are those of the whole
    image up to rounding. A network with a global operation, such as attention over all pixels or
    squeeze and excitation, gives other outputs in tiles.

    Memory beside the image and the outputs is that of one tile: it goes through
    alone, whatever the size of the batch, and pixels are normalised tile by tile
    (:class:`~mmcrowd.models.lazy_batch.LazyBatch`).

    What is joined:

    - maps ``(1, c, h, w)`` at any stride that divides ``divisor``, in whatever dicts and lists;
    - proposals: the output ``points`` ``(1, R, 2)``, ``(x, y)`` in input pixels, and all other
      outputs ``(1, R, ...)``. A proposal belongs to the tile in whose core it lies; the halo must
      cover the reach of the network and the way from a reference point to its proposal.

    When a device runs out of memory, the sides of the tiles are halved, with a warning, and the
    image begins anew; the smaller tiles are kept for the images that follow. Running out of memory
    again is an error.

    Args:
        crop_size: Side of a tile with its halo, or (height, width), in input pixels. Defaults to
            1280.
        halo: Context on each side of the core, in input pixels. Defaults to 128.
        min_pixels: Batches of at most so many pixels, padding included, go through as a whole.
            Defaults to 4 million.
        divisor: Borders of tiles are multiples of so many pixels. It must be a multiple of every
            stride inside the network and of the head's ``size_divisor``. Defaults to 32.
        points: Name of the output with the positions of proposals, if there is one. Defaults to
            ``'points'``.

    Raises:
        ValueError: ``crop_size`` or ``halo`` is no multiple of ``divisor``, or the tiles have no
            core.

    Examples:
        >>> def run(inputs, padding_mask=None):
        ...     return dict(density=torch.nn.functional.avg_pool2d(inputs, 4))
        >>> image = torch.rand(1, 1, 96, 160)
        >>> tiled = SlideInference(crop_size=64, halo=0, min_pixels=0)(run, image)
        >>> torch.equal(tiled['density'], run(image)['density'])
        True
    """

    takes_windows = True

    def __init__(
        self,
        crop_size: int | Sequence[int] = 1280,
        halo: int = 128,
        min_pixels: int = 4_000_000,
        divisor: int = 32,
        points: str = 'points',
    ):
        height, width = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        if divisor < 1 or halo < 0 or any(side % divisor for side in (height, width, halo)):
            raise ValueError(
                f'SlideInference: crop_size={crop_size!r} and halo={halo!r}, expected multiples of '
                f'divisor={divisor!r}'
            )
        if min(height, width) <= 2 * halo:
            raise ValueError(
                f'SlideInference: crop_size={crop_size!r} with halo={halo!r} on each side leaves '
                f'no core, expected more than {2 * halo}'
            )
        self.crop_size = (height, width)
        self.halo = halo
        self.min_pixels = min_pixels
        self.divisor = divisor
        self.points = points
        self._is_halved = False

    def __call__(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor | LazyBatch,
        data_samples: Sequence[CrowdDataSample] | None = None,
    ) -> Outputs:
        """Outputs of a batch.

        Args:
            run: The network, ``run(inputs, padding_mask=None) -> outputs``.
            inputs: ``(N, C, H, W)``.
            data_samples: One sample per image, whose ``img_shape`` says where the padding begins.
                Defaults to None, no padding.

        Returns:
            The outputs of the network as it would give them for the whole batch.

        Raises:
            ValueError: An output is neither a map nor belongs to proposals, the stride of a map
                does not divide ``divisor``, or images of a batch have different numbers of
                proposals.
        """
        try:
            return self._run(run, inputs, data_samples)
        except RuntimeError as error:
            is_memory = isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY.search(str(error))
            if not is_memory or self._is_halved or not self._halve(inputs.shape):
                raise
            message = str(error)
        # Outside of the handler, for the error holds the tensors of the network that raised it.
        if torch.accelerator.is_available():
            torch.get_device_module().empty_cache()
        warnings.warn(
            f'SlideInference: out of memory, from now on with tiles of {self.crop_size} pixels '
            f'(h, w) for batches above {self.min_pixels} ({message})',
            stacklevel=2,
        )
        return self._run(run, inputs, data_samples)

    def _halve(self, shape: Sequence[int]) -> bool:
        """Halve the tiles that a batch was run in; False if they would not become smaller."""
        largest = [min(side, whole) for side, whole in zip(self.crop_size, shape[-2:], strict=True)]
        if shape[0] * shape[-2] * shape[-1] <= self.min_pixels:
            largest = list(shape[-2:])  # the batch went through as a whole
        least = 2 * self.halo + self.divisor
        height, width = (max(side // 2 // self.divisor * self.divisor, least) for side in largest)
        if height * width >= math.prod(largest):
            return False
        self.crop_size = (height, width)
        self.min_pixels = min(self.min_pixels, height * width)
        self._is_halved = True
        return True

    def _run(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor | LazyBatch,
        data_samples: Sequence[CrowdDataSample] | None,
    ) -> Outputs:
        number, _, height, width = inputs.shape
        shapes = [(height, width)] * number
        if data_samples is not None:
            shapes = [tuple(sample.img_shape) for sample in data_samples]
        every = slice(None)
        if number * height * width <= self.min_pixels:
            batch = inputs[every, every, every, every]
            tile = Tile(Span(0, height, 0, height, height), Span(0, width, 0, width, width))
            return run(batch, padding_mask=tile.padding_mask(shapes, batch.device))
        downs, acrosses = (
            split(side, crop, self.halo, self.divisor)
            for side, crop in zip((height, width), self.crop_size, strict=True)
        )
        images = []
        for i, shape in enumerate(shapes):
            rows = []
            for down in downs:
                row = []
                for across in acrosses:
                    tile = Tile(down, across)
                    pixels = inputs[i : i + 1, every, down.pixels, across.pixels]
                    mask = tile.padding_mask([shape], pixels.device)
                    outputs = run(pixels, padding_mask=mask)
                    row.append(self._core(outputs, tile))
                rows.append(_join(row, 3))
            images.append(_join(rows, 2))
        self._check_numbers(images)
        joined = iter(_join(images, 0))
        return map_tensors(lambda _: next(joined).values, outputs)

    def _core(self, outputs: Outputs, tile: 'Tile') -> list['Piece']:
        """What the core of a tile gives, in the order of the tensors of its outputs."""
        points = outputs.get(self.points)
        keep = tile.holds(points) if isinstance(points, Tensor) else None
        pieces = []
        for name, output in outputs.items():
            tensors: list[Tensor] = []
            map_tensors(tensors.append, output)
            for values in tensors:
                stride = tile.stride(values.shape[2:]) if values.ndim == 4 else None
                if stride:
                    pieces.append(Piece(name, self._core_of_map(name, values, stride, tile), True))
                elif keep is not None and values.ndim > 1 and values.shape[1] == len(keep):
                    shift = tile.offset(values) if values is points else 0
                    pieces.append(Piece(name, values[:, keep] + shift, False))
                else:
                    raise ValueError(
                        f'SlideInference: the output {name!r} of {tuple(values.shape)} is no map '
                        f'of a tile of {tile.size} pixels (h, w), and not of the proposals of '
                        f'{self.points!r} either, so that it cannot be joined'
                    )
        return pieces

    def _core_of_map(self, name: str, values: Tensor, stride: int, tile: 'Tile') -> Tensor:
        if self.divisor % stride:
            raise ValueError(
                f'SlideInference: the output {name!r} has {stride} pixels per cell, but tiles '
                f'begin at multiples of divisor={self.divisor}; expected a multiple of {stride}'
            )
        # A copy, or the halo would be kept, too.
        return values[:, :, tile.down.cells(stride), tile.across.cells(stride)].clone()

    @staticmethod
    def _check_numbers(images: list[list['Piece']]) -> None:
        for piece, *others in zip(*images, strict=True):
            if any(other.values.shape[1:] != piece.values.shape[1:] for other in others):
                raise ValueError(
                    f'SlideInference: images of a batch have different numbers of {piece.name!r}; '
                    'expected batch_size=1 for a network with proposals'
                )


class Piece(NamedTuple):
    """A part of an output.

    Attributes:
        name: Name of the output.
        values: Map ``(1, c, h, w)`` or values of proposals ``(1, R, ...)``.
        is_map: Which of them.
    """

    name: str
    values: Tensor
    is_map: bool


class Span(NamedTuple):
    """Rows or columns of a tile, in pixels of the padded batch.

    Attributes:
        core_start: First pixel of the core.
        core_end: The one behind its last.
        start: First pixel of the tile, halo included.
        end: The one behind its last.
        size: Pixels of the batch.
    """

    core_start: int
    core_end: int
    start: int
    end: int
    size: int

    @property
    def pixels(self) -> slice:
        return slice(self.start, self.end)

    def cells(self, stride: int) -> slice:
        """Cells of the core in a map of the tile; at the end of the image all that are left."""
        start = (self.core_start - self.start) // stride
        end = None if self.core_end == self.size else (self.core_end - self.start) // stride
        return slice(start, end)

    def holds(self, coordinate: Tensor) -> Tensor:
        """Whether coordinates in pixels of the tile lie in the core, which is open at the edges of
        the image."""
        inside = torch.ones_like(coordinate, dtype=torch.bool)
        if self.core_start > 0:
            inside &= coordinate >= self.core_start - self.start - 0.5
        if self.core_end < self.size:
            inside &= coordinate < self.core_end - self.start - 0.5
        return inside


class Tile(NamedTuple):
    """A tile of a batch.

    Attributes:
        down: Its rows.
        across: Its columns.
    """

    down: Span
    across: Span

    @property
    def size(self) -> tuple[int, int]:
        """Height and width with the halo, in pixels."""
        return self.down.end - self.down.start, self.across.end - self.across.start

    def stride(self, cells: Sequence[int]) -> int | None:
        """Pixels per cell of a map of the tile; None if it cannot be one."""
        if not all(cells):
            return None
        return map_stride(cells, self.size, round(self.size[0] / cells[0]))

    def holds(self, points: Tensor) -> Tensor:
        """``(R,)`` bool, which of the points ``(1, R, 2)`` lie in the core."""
        x, y = points[0].unbind(-1)
        return self.across.holds(x) & self.down.holds(y)

    def offset(self, like: Tensor) -> Tensor:
        """``(2,)``, where the tile begins: (x, y) in pixels of the batch."""
        return like.new_tensor((self.across.start, self.down.start))

    def padding_mask(self, shapes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
        """``(N, h, w)`` bool, True where a tile of images of these sizes is padding."""
        mask = torch.ones((len(shapes), *self.size), dtype=torch.bool, device=device)
        for image, (height, width) in zip(mask, shapes, strict=True):
            image[: max(height - self.down.start, 0), : max(width - self.across.start, 0)] = False
        return mask


def split(size: int, crop: int, halo: int, divisor: int) -> list[Span]:
    """Divide the rows or columns of a batch among tiles of nearly equal cores.

    Args:
        size: Pixels of the batch.
        crop: Pixels of a tile with its halo, at most.
        halo: Pixels of context on each side, none beyond the edges of the batch.
        divisor: Tiles begin at multiples of so many pixels.

    Returns:
        As few tiles as cores of ``crop - 2 * halo`` pixels need.

    Examples:
        >>> [tuple(span)[:4] for span in split(160, crop=96, halo=16, divisor=16)]
        [(0, 48, 0, 64), (48, 96, 32, 112), (96, 160, 80, 160)]
    """
    # In units of the divisor.
    whole, core = -(-size // divisor), (crop - 2 * halo) // divisor
    number = 1 if size <= crop else -(-whole // core)
    edges = [i * whole // number * divisor for i in range(number)] + [size]
    return [
        Span(start, end, max(start - halo, 0), min(end + halo, size), size)
        for start, end in itertools.pairwise(edges)
    ]


def _join(parts: list[list[Piece]], axis: int) -> list[Piece]:
    """Join the pieces of tiles beside each other (axis 3) or below each other (2), or those of
    images (0)."""
    joined = []
    for pieces in zip(*parts, strict=True):
        name, _, is_map = pieces[0]
        along = axis if is_map else min(axis, 1)
        joined.append(Piece(name, torch.cat([piece.values for piece in pieces], along), is_map))
    return joined
