"""FIDTM: the weights of its program (github.com/dk-liang/FIDTM), under names of ``configs/fidtm``.

The program trains HRNet-W48 with a head of transposed convolutions.
"""

import torch

from mmcrowd.models.backbones import HRNetBilinear
from mmcrowd.models.heads import MapHead

from .names import name_table, rename_network

# Beginnings of the names: theirs, ours. The first that fits counts.
NAMES = [
    ('last_layer.0.', 'head.mix.0.'),
    ('last_layer.1.', 'head.mix.1.'),
    ('last_layer.3.', 'head.enlarge.0.'),
    ('last_layer.5.', 'head.predict.'),
    ('', 'backbone.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/fidtm``.

    Raises:
        ValueError: They are not those of HRNet-W48 with its head; the message names some that are
            missing, unknown or of another shape.
    """
    table = name_table(_parts(), NAMES)
    return rename_network(state_dict, {'HRNet-W48 with the head of FIDTM': table})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/fidtm`` the published names.

    Their program loads nothing, and says nothing, unless each begins with ``module.``.

    Raises:
        ValueError: As for :func:`convert`.
    """
    table = name_table(_parts(), NAMES, back=True)
    result = rename_network(state_dict, {'HRNet-W48 with the head of FIDTM': table})
    return {f'module.{name}': value for name, value in result.items()}


def _parts() -> dict[str, torch.nn.Module]:
    """The parts of the network, without values."""
    with torch.device('meta'):
        return dict(backbone=HRNetBilinear('w48'), head=MapHead())
