"""Images through a network that takes them in a grid of patches."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs
from .lazy_batch import LazyBatch


@TASK_UTILS.register_module()
class GridInference:
    """Run a network on each patch of a grid over the image, and put the maps side by side.

    For networks that decide something about a whole patch, such as Switch-CNN, which chooses the
    column that counts it. Nothing of a patch is seen by another one.

    The grid divides the cells of the density, not the pixels, so that every cell is of one patch
    and the sum of the joined map is that of the patches: of h rows of cells, the i-th of n rows of
    patches has those from ``floor(i * h / n)`` to before ``floor((i + 1) * h / n)``; columns are
    divided alike. An image whose sides are no multiples of the stride has its last cells partly in
    the padding, which is at most ``stride - 1`` pixels wide there. With fewer than n rows some
    patches are empty and left out. The grid is that of the image without the padding of the batch,
    so a prediction does not depend on the other images.

    Args:
        grid: Rows and columns of patches. Defaults to (3, 3).
        stride: Input pixels per cell of the network's maps. Defaults to 4.

    Raises:
        ValueError: A number is not positive.

    Examples:
        Each patch of a network that marks the first cell of its input.

        >>> import torch
        >>> def run(inputs, padding_mask=None):
        ...     density = torch.zeros(1, 1, inputs.shape[2] // 4, inputs.shape[3] // 4)
        ...     density[..., 0, 0] = 1
        ...     return dict(density=density)
        >>> GridInference(grid=(1, 3))(run, torch.zeros(1, 1, 8, 28))['density']
        tensor([[[[1., 0., 1., 0., 1., 0., 0.],
                  [0., 0., 0., 0., 0., 0., 0.]]]])
    """

    takes_windows = True

    def __init__(self, grid: Sequence[int] = (3, 3), stride: int = 4):
        if min(*grid, stride) < 1:
            raise ValueError(
                f'GridInference: grid={tuple(grid)}, stride={stride}, expected positive numbers'
            )
        self.grid = tuple(grid)
        self.stride = stride

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
            Those outputs of the network that are maps ``(1, c, h, w)`` of a patch, or lists of
            them, as maps of the batch, 0 in the padding. Others are left out.

        Raises:
            ValueError: The sides of the batch are no multiples of the stride.
        """
        number, _, *padded = inputs.shape
        if any(side % self.stride for side in padded):
            raise ValueError(
                f'GridInference: a batch padded to {tuple(padded)} pixels (h, w), expected '
                f'multiples of stride={self.stride}; pad_size_divisor of the data_preprocessor '
                'must be a multiple of it'
            )
        size = tuple(side // self.stride for side in padded)
        joined: Outputs = {}
        for i in range(number):
            shape = padded if data_samples is None else data_samples[i].img_shape
            for rows, columns in self.patches(shape):
                window = inputs[i : i + 1, slice(None), self._pixels(rows), self._pixels(columns)]
                outputs = run(window)
                cells = (rows.stop - rows.start, columns.stop - columns.start)
                for name, maps in outputs.items():
                    if not _are_maps(maps, cells):
                        continue
                    if name not in joined:
                        joined[name] = _empty(maps, number, size)
                    _put(joined[name], maps, (i, slice(None), rows, columns))
        return joined

    def patches(self, shape: Sequence[int]) -> list[tuple[slice, slice]]:
        """Rows and columns of cells of each patch that is not empty, row by row.

        Args:
            shape: Height and width of the image in pixels.

        Examples:
            >>> GridInference((2, 1), stride=4).patches((10, 8))
            [(slice(0, 1, None), slice(0, 2, None)), (slice(1, 3, None), slice(0, 2, None))]
        """
        spans = []
        for side, parts in zip(shape, self.grid, strict=True):
            cells = -(-side // self.stride)
            edges = [i * cells // parts for i in range(parts + 1)]
            spans.append([slice(a, b) for a, b in itertools.pairwise(edges) if a < b])
        return list(itertools.product(*spans))

    def _pixels(self, cells: slice) -> slice:
        return slice(cells.start * self.stride, cells.stop * self.stride)


def _are_maps(maps: Any, cells: tuple[int, int]) -> bool:
    """Whether this is a map of so many cells, or a list of such maps."""
    if isinstance(maps, list | tuple):
        return all(_are_maps(each, cells) for each in maps)
    return isinstance(maps, Tensor) and maps.ndim == 4 and tuple(maps.shape[2:]) == cells


def _empty(maps: Any, number: int, size: Sequence[int]) -> Any:
    if isinstance(maps, list | tuple):
        return [_empty(each, number, size) for each in maps]
    return maps.new_zeros((number, maps.shape[1], *size))


def _put(joined: Any, maps: Any, place: tuple) -> None:
    if isinstance(maps, list | tuple):
        for to, each in zip(joined, maps, strict=True):
            _put(to, each, place)
    else:
        joined[place] = maps[0]
