"""Named outputs of a network: dicts of tensors, or of lists and dicts of tensors, N first."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Outputs = dict[str, Any]


def map_tensors(function: Callable[[Tensor], Any], outputs: Any) -> Any:
    """Apply a function to every tensor, in whatever dicts, lists and tuples it lies.

    Args:
        function: What is applied.
        outputs: Named outputs, or a part of them. What is neither a tensor nor one of these
            containers stays as it is.

    Returns:
        The same containers with the results in place of the tensors.

    Examples:
        >>> map_tensors(len, dict(a=torch.zeros(3), b=[torch.zeros(2), 'c']))
        {'a': 3, 'b': [2, 'c']}
    """
    if isinstance(outputs, Tensor):
        return function(outputs)
    if isinstance(outputs, Mapping):
        return {key: map_tensors(function, value) for key, value in outputs.items()}
    if isinstance(outputs, list | tuple):
        results = [map_tensors(function, value) for value in outputs]
        return results if isinstance(outputs, list) else tuple(results)
    return outputs


def without_half(outputs: Any) -> Any:
    """The outputs with float32 in place of the half precision types."""
    half = (torch.float16, torch.bfloat16)
    return map_tensors(lambda x: x.float() if x.dtype in half else x, outputs)


def map_stride(size: Sequence[int], padded: Sequence[int], out_stride: int) -> int | None:
    """Find the stride of a map from its size, rounded up or down.

    Args:
        size: Height and width of the map, in cells.
        padded: Height and width of the batch, in pixels.
        out_stride: Stride of the network's main map. Where several strides fit, it is preferred,
            and then a power of two.

    Returns:
        Input pixels per cell; None if no stride fits, so that this is no map.

    Examples:
        >>> map_stride((16, 24), (64, 96), out_stride=2)
        4
        >>> map_stride((3, 5), (9, 17), out_stride=4)
        4
    """
    powers = (2**k for k in range(max(padded).bit_length()))
    ratio = round(padded[0] / size[0]) if size[0] else 0
    for stride in (out_stride, *powers, max(ratio, 1)):
        sides = zip(size, padded, strict=True)
        if all(cells in (side // stride, -(-side // stride)) for cells, side in sides):
            return stride
    return None


def image_outputs(
    outputs: Outputs,
    number: int,
    img_shape: tuple[int, int],
    padded: tuple[int, int],
    out_stride: int,
) -> Outputs:
    """Take the outputs of one image out of those of a batch, without its padding.

    A tensor ``(N, c, h, w)`` whose sides fit those of the batch at one stride is a map. It is cut
    to the cells that the image touches; with one channel it becomes ``(h, w)``. What is known for
    points or for the whole image is not cut.

    Args:
        outputs: Outputs of the batch.
        number: Place of the image in the batch.
        img_shape: Its (height, width) in pixels.
        padded: Height and width of the batch, in pixels.
        out_stride: Input pixels per cell of the network's main map.

    Returns:
        The outputs of the image, without batch dimension.
    """

    def take(batch: Tensor) -> Tensor:
        values = batch[number]
        stride = None
        if values.ndim == 3:
            stride = map_stride(values.shape[1:], padded, out_stride)
        if stride is None:
            return values
        height, width = (math.ceil(side / stride) for side in img_shape)
        values = values[:, :height, :width]
        return values[0] if len(values) == 1 else values

    return map_tensors(take, outputs)
