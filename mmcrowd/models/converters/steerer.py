"""STEERER: the weights of its program (github.com/taohan10200/STEERER), with HRNet-W48, under the
names of ``configs/steerer``.

A published checkpoint has more than the network uses: a copy of the decoder that every step
overwrites, the Gaussian of the targets, and at the finest scale a mask and a branch for a finer one
that does not follow.
"""

from functools import cache

import torch
from torch import nn

from mmcrowd.models.backbones import HRNetBilinear
from mmcrowd.models.heads import STEERERHead

from .names import name_table, rename_network

DECODER = 'multi_counters.decoder.'
COPY = 'counter_copy.decoder.'
LEVELS = 'upsample_module.multi_outputs.'
KERNEL = 'gaussian.gaussian.gkernel.weight'
# Layers of the decoder, convolution or normalisation: place in theirs, name in ours.
DECODER_LAYERS = [
    (1, 'convs.1.0.'),
    (2, 'convs.1.1.'),
    (4, 'convs.2.0.'),
    (5, 'convs.2.1.'),
    (8, 'convs.4.0.'),
    (9, 'convs.4.1.'),
    (11, 'predict.'),
]
# Two convolutions with their normalisations, in theirs and in ours.
TWO_LAYERS = [('0.', '0.0.'), ('1.', '0.1.'), ('3.', '1.0.'), ('4.', '1.1.')]
# Parts of a scale: theirs, ours.
BRANCHES = [
    ('channels_down.', 'lateral.'),
    *((f'modulation_layer_big.{theirs}', f'shown.{ours}') for theirs, ours in TWO_LAYERS),
    *((f'modulation_layer_small.{theirs}', f'passed.{ours}') for theirs, ours in TWO_LAYERS),
    ('soft_mask.cls.2.0.', 'mask.2.'),
    ('soft_mask.cls.', 'mask.'),
]
# Beginnings of the names: theirs, ours. They number the scales from coarse to fine.
NAMES = [
    ('backbone.', 'backbone.'),
    *((f'{DECODER}{place}.', f'head.decoder.{ours}') for place, ours in DECODER_LAYERS),
    (f'{LEVELS}0.channels_down.', 'head.coarsest.'),
    *(
        (f'{LEVELS}{3 - i}.{theirs}', f'head.fusions.{i}.{ours}')
        for i in range(3)
        for theirs, ours in BRANCHES
    ),
]
UNUSED = (COPY, KERNEL, f'{LEVELS}3.modulation_layer_small.', f'{LEVELS}3.soft_mask.')


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/steerer``.

    Raises:
        ValueError: They are not those of this network; the message names what is missing, unknown
            or of another shape.
    """
    used = {name: value for name, value in state_dict.items() if not name.startswith(UNUSED)}
    return rename_network(used, dict(STEERER=_table(back=False)))


def unused(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of the published parameters that a converted network has no place for."""
    return {name: value for name, value in state_dict.items() if name.startswith(UNUSED)}


def convert_back(
    state_dict: dict[str, torch.Tensor], unused: dict[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/steerer`` the published names.

    Args:
        state_dict: Parameters and buffers of the counter.
        unused: Published parameters that have no part in the result and that are added, see
            :func:`unused`. Defaults to None: only the copy of the decoder is added, for the program
            leaves what it does not find as it is.

    Raises:
        ValueError: They are not those of this network.
    """
    result = rename_network(state_dict, dict(STEERER=_table(back=True)))
    if unused is not None:
        return {**result, **unused}
    copies = {
        COPY + name.removeprefix(DECODER): value
        for name, value in result.items()
        if name.startswith(DECODER)
    }
    return {**result, **copies}


@cache
def _table(back: bool) -> dict[str, tuple[str, torch.Size]]:
    with torch.device('meta'):
        parts: dict[str, nn.Module] = dict(
            backbone=HRNetBilinear('w48', last_exchange=False), head=STEERERHead()
        )
    return name_table(parts, NAMES, back)
