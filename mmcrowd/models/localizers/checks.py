"""What localizers ask of their input."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def take_source(outputs: Tensor | Mapping[str, Tensor], source: str, localizer: object) -> Tensor:
    """Take the map that a localizer searches.

    Args:
        outputs: The map, or the outputs of the network for one image.
        source: Name of the map among the outputs.
        localizer: The localizer; the message of an error names its class.

    Returns:
        The map.

    Raises:
        KeyError: The outputs have no map of this name.
    """
    if not isinstance(outputs, Mapping):
        return outputs
    if source not in outputs:
        raise KeyError(
            f'{type(localizer).__name__}: source={source!r} is none of the outputs {list(outputs)}'
        )
    return outputs[source]


def inside_image(points: Tensor, outputs: Mapping[str, Any]) -> Tensor:
    """Which points lie inside of the image.

    Args:
        points: ``(R, 2)`` positions ``(x, y)`` in input pixels.
        outputs: Outputs of the network for one image, perhaps with ``img_shape``, its (height,
            width) in input pixels.

    Returns:
        ``(R,)`` bool; all where the size of the image is not known.
    """
    if 'img_shape' not in outputs:
        return torch.ones_like(points[:, 0], dtype=torch.bool)
    height, width = outputs['img_shape']
    end = points.new_tensor((width, height)) - 0.5
    return ((points >= -0.5) & (points < end)).all(1)


def check_density(density: Tensor, stride: int, localizer: object) -> None:
    """See that a map is a density map.

    Args:
        density: ``(h, w)`` persons per cell, of a floating type, at least one cell.
        stride: Input pixels per cell, at least 1.
        localizer: The localizer; the message of an error names its class.

    Raises:
        ValueError: One of these does not hold, or a value is NaN or infinite.
    """
    owner = type(localizer).__name__
    if density.ndim != 2 or not density.numel() or not density.is_floating_point():
        raise ValueError(
            f'{owner}: density must be (h, w) of a floating type with at least one cell, but got '
            f'{tuple(density.shape)} of {density.dtype}'
        )
    if stride != int(stride) or stride < 1:
        raise ValueError(f'{owner}: stride must be a positive integer, but got {stride}')
    finite = torch.isfinite(density)
    if not finite.all():
        raise ValueError(
            f'{owner}: density must be finite, but {int((~finite).sum())} of {density.numel()} '
            'cells are not'
        )
