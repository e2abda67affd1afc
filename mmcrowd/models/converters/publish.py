"""From a checkpoint of a training to weights that can be passed on."""

from collections.abc import Mapping

import torch

# The largest error, relative to the largest weight of a tensor, that half precision may make.
TOLERANCE = 1e-3


def publish(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a prediction needs of a model, the weights in half precision.

    The state of the loss is left out. Tensors of one dimension, biases and the parameters and
    statistics of normalisation, stay as they are: they are few, and variances have a wide range.

    Args:
        state_dict: Parameters and buffers of a counter; in a checkpoint of a training with
            ``EMAHook`` they are the averaged ones.

    Returns:
        The same names, without those of the loss.

    Raises:
        ValueError: A value is not finite, or half precision cannot hold the weights of a tensor.

    Examples:
        >>> made = publish({'head.weight': torch.ones(2, 2), 'loss_module.x': torch.ones(1)})
        >>> {key: value.dtype for key, value in made.items()}
        {'head.weight': torch.float16}
    """
    published = {}
    for name, value in state_dict.items():
        if name.startswith('loss_module.'):
            continue
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f'{name}: a value is not finite')
        if value.ndim > 1 and value.is_floating_point():
            half = value.half()
            error = (half.float() - value.float()).abs().max()
            if not error <= TOLERANCE * value.abs().max():
                raise ValueError(
                    f'{name}: half precision changes a weight by {error:.2g}, the largest is '
                    f'{value.abs().max():.2g}'
                )
            value = half
        published[name] = value.detach().clone()
    return published
