"""Images through a network that takes inputs of one size."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs
from .lazy_batch import LazyBatch


@TASK_UTILS.register_module()
class TileInference:
    """Run a network with proposals in square tiles beside each other, and join the proposals.

    Every tile has the same size, and no pixel is in two of them, so that each person is proposed by
    one tile. A network that takes inputs of any size is better served by
    :class:`~mmcrowd.models.slide_inference.SlideInference`, whose tiles see what is around them.

    Tensors of proposals ``(N, R, ...)`` become ``(N, T * R, ...)``, T tiles row by row, in whatever
    dicts and lists; those under the name ``points`` are moved to the place of their tile.

    Args:
        tile_size: Side of a tile in input pixels. Defaults to 256.
        batch_size: How many tiles go through at once. Defaults to 16.
        pad_start: Pad an image to whole tiles on the left and at the top, and let the network take
            the padding for a part of the image, as the published program of CLTR does. Defaults to
            False: padding is on the right and at the bottom, and is masked.
        points: Name of the outputs with the positions of proposals. Defaults to ``'points'``.

    Raises:
        ValueError: A size is not positive.

    Examples:
        >>> def run(inputs, padding_mask=None):
        ...     height, width = inputs.shape[2:]
        ...     middle = torch.tensor([[width / 2, height / 2]])
        ...     return dict(points=middle.expand(len(inputs), 1, 2))
        >>> image = torch.zeros(1, 3, 4, 7)
        >>> TileInference(tile_size=4)(run, image)['points']
        tensor([[[2., 2.],
                 [6., 2.]]])
        >>> TileInference(tile_size=4, pad_start=True)(run, image)['points']
        tensor([[[1., 2.],
                 [5., 2.]]])
    """

    takes_windows = True

    def __init__(
        self,
        tile_size: int = 256,
        batch_size: int = 16,
        pad_start: bool = False,
        points: str = 'points',
    ):
        for name, value in dict(tile_size=tile_size, batch_size=batch_size).items():
            if value < 1:
                raise ValueError(f'TileInference: {name}={value!r}, expected at least 1')
        self.tile_size = tile_size
        self.batch_size = batch_size
        self.pad_start = pad_start
        self.points = points

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
            The proposals of all tiles.

        Raises:
            ValueError: An output is none of proposals, or the images of a batch need different
                numbers of tiles.
        """
        number, _, *size = inputs.shape
        shapes = [tuple(size)] * number
        if data_samples is not None:
            shapes = [tuple(sample.img_shape) for sample in data_samples]
        grids = [tuple(-(-side // self.tile_size) for side in shape) for shape in shapes]
        if len({rows * columns for rows, columns in grids}) > 1:
            raise ValueError(
                f'TileInference: images of a batch need {grids} tiles (rows, columns); expected '
                'batch_size=1 for images of different sizes'
            )
        images = [
            self._image(run, inputs, i, *image)
            for i, image in enumerate(zip(shapes, grids, strict=True))
        ]
        return _concatenate(images)

    def _image(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor | LazyBatch,
        number: int,
        shape: Sequence[int],
        grid: Sequence[int],
    ) -> Outputs:
        """Proposals ``(1, T * R, ...)`` of one image."""
        starts = [
            [
                i * self.tile_size - (tiles * self.tile_size - side) * self.pad_start
                for i in range(tiles)
            ]
            for tiles, side in zip(grid, shape, strict=True)
        ]
        corners = list(itertools.product(*starts))
        results = []
        for first in range(0, len(corners), self.batch_size):
            tiles, masks = zip(
                *(
                    self._tile(inputs, number, shape, corner)
                    for corner in corners[first : first + self.batch_size]
                ),
                strict=True,
            )
            mask = None if self.pad_start else torch.cat(masks)
            results.append(run(torch.cat(tiles), padding_mask=mask))
        return self._place(_concatenate(results), [(x, y) for y, x in corners])

    def _tile(
        self,
        inputs: Tensor | LazyBatch,
        number: int,
        shape: Sequence[int],
        corner: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """Pixels ``(1, C, s, s)`` of one tile, and which ``(1, s, s)`` of them are padding."""
        spans: list[slice] = []
        padding: list[int] = []
        for start, side in zip(corner, shape, strict=True):
            end = start + self.tile_size
            spans.append(slice(max(start, 0), min(end, side)))
            padding[:0] = [max(-start, 0), max(end - side, 0)]
        pixels = inputs[number : number + 1, slice(None), spans[0], spans[1]]
        inside = F.pad(torch.ones_like(pixels[:, 0], dtype=torch.bool), padding, value=False)
        return F.pad(pixels, padding), ~inside

    def _place(self, outputs: Any, corners: list[tuple[int, int]], name: str = '') -> Any:
        """Proposals ``(T, R, ...)`` of tiles as those of an image, ``(1, T * R, ...)``."""
        if isinstance(outputs, Mapping):
            return {key: self._place(value, corners, key) for key, value in outputs.items()}
        if isinstance(outputs, list | tuple):
            return [self._place(value, corners, name) for value in outputs]
        if outputs.ndim < 2 or len(outputs) != len(corners):
            raise ValueError(
                f'TileInference: the output {name!r} of {tuple(outputs.shape)} for {len(corners)} '
                'tiles is none of proposals (N, R, ...)'
            )
        if name == self.points:
            outputs = outputs + outputs.new_tensor(corners)[:, None]
        return outputs.flatten(0, 1)[None]


def _concatenate(parts: Sequence[Any]) -> Any:
    """Join outputs of several batches, tensor by tensor."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: _concatenate([part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple):
        return [_concatenate(values) for values in zip(*parts, strict=True)]
    return torch.cat(list(parts))
