"""Images through a network in tiles of one size, whose outputs are averaged where they overlap."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs, map_stride, map_tensors


@TASK_UTILS.register_module()
class TileAverageInference:
    """Run a network in tiles of one size and average its maps where tiles overlap.

    Tiles lie beside each other; the last of a row or column is moved back to the edge of the image,
    so that it overlaps the one before. An image that is smaller than a tile is one tile. So test
    the published programs of IIM and the localization branch of RAZNet.
    :class:`SlideInference` gives what the network gives for the whole image, in tiles with a halo.

    Args:
        tile_size: (height, width) of a tile in input pixels.
        whole_pixels: A batch of fewer pixels per image, of which none is padding, goes through as a
            whole. Defaults to 0, none.

    Raises:
        ValueError: A side of the tiles is not positive.

    Examples:
        >>> def run(inputs, padding_mask=None):
        ...     return dict(map=inputs - inputs.mean())
        >>> image = torch.tensor([[[[1.0, 3.0, 7.0]]]])
        >>> TileAverageInference((1, 2))(run, image)['map']
        tensor([[[[-1.0000, -0.5000,  2.0000]]]])
    """

    def __init__(self, tile_size: Sequence[int], whole_pixels: int = 0):
        height, width = tile_size
        if min(height, width) < 1:
            raise ValueError(
                f'TileAverageInference: tile_size={tuple(tile_size)}, expected positive pixels'
            )
        self.tile_size = (height, width)
        self.whole_pixels = whole_pixels

    def __call__(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor,
        data_samples: Sequence[CrowdDataSample] | None = None,
    ) -> Outputs:
        """Outputs of a batch.

        Args:
            run: The network, ``run(inputs, padding_mask=None) -> outputs``; all outputs are maps.
            inputs: ``(N, C, H, W)``.
            data_samples: One sample per image, whose ``img_shape`` says where the padding begins.
                Defaults to None, no padding.

        Returns:
            The maps of the whole images.

        Raises:
            ValueError: An output is no map, or a tile does not begin at a cell of it.
        """
        size = tuple(inputs.shape[-2:])
        shapes = [tuple(sample.img_shape) for sample in data_samples or ()]
        mask = inputs.new_zeros((len(inputs), *size), dtype=torch.bool)
        for image, (height, width) in zip(mask, shapes, strict=False):
            image[height:] = True
            image[:, width:] = True
        if size[0] * size[1] < self.whole_pixels and all(shape == size for shape in shapes):
            return run(inputs, padding_mask=mask)
        sums: list[Tensor] = []
        numbers: list[Tensor] = []
        outputs: Outputs = {}
        for top in starts(size[0], self.tile_size[0]):
            for left in starts(size[1], self.tile_size[1]):
                rows, columns = (
                    slice(start, start + side)
                    for start, side in zip((top, left), self.tile_size, strict=True)
                )
                tile = inputs[..., rows, columns]
                outputs = run(tile, padding_mask=mask[..., rows, columns])
                maps = flat_maps(outputs, tuple(tile.shape[-2:]))
                if not sums:
                    for values, stride in maps:
                        whole = [-(-side // stride) for side in size]
                        sums.append(values.new_zeros((*values.shape[:2], *whole)))
                        numbers.append(values.new_zeros(whole))
                for total, number, (values, stride) in zip(sums, numbers, maps, strict=True):
                    if top % stride or left % stride:
                        raise ValueError(
                            f'TileAverageInference: a tile of {self.tile_size} begins at pixel '
                            f'{(top, left)} (row, column) of {size}, no multiple of the stride '
                            f'{stride} of a map; pad_size_divisor of the data_preprocessor and '
                            'the sides of the tile must be multiples of it'
                        )
                    place = tuple(
                        slice(start // stride, start // stride + cells)
                        for start, cells in zip((top, left), values.shape[-2:], strict=True)
                    )
                    total[(..., *place)] += values
                    number[place] += 1
        means = iter([total / number for total, number in zip(sums, numbers, strict=True)])
        return map_tensors(lambda _: next(means), outputs)


def starts(size: int, tile: int) -> list[int]:
    """First pixels of the tiles along one axis.

    Args:
        size: Pixels of the image.
        tile: Pixels of a tile.

    Examples:
        >>> starts(1056, 1024), starts(300, 512)
        ([0, 32], [0])
    """
    return [min(start, max(size - tile, 0)) for start in range(0, size, tile)]


def flat_maps(outputs: Outputs, size: tuple[int, int]) -> list[tuple[Tensor, int]]:
    """Maps of a tile in the order of the outputs, with their strides.

    Args:
        outputs: Named outputs of the tile.
        size: Its height and width in pixels.

    Raises:
        ValueError: An output is no map.
    """
    maps = []
    for name, output in outputs.items():
        tensors: list[Tensor] = []
        map_tensors(tensors.append, output)
        for values in tensors:
            stride = None
            if values.ndim == 4:
                stride = map_stride(values.shape[2:], size, round(size[0] / values.shape[2]))
            if stride is None:
                raise ValueError(
                    f'TileAverageInference: the output {name!r} of {tuple(values.shape)} is no map '
                    f'of a tile of {size} pixels (h, w), so that it cannot be averaged'
                )
            maps.append((values, stride))
    return maps
