"""FIDTM: the weights of its program (github.com/dk-liang/FIDTM), under names of ``configs/fidtm``.

The program trains HRNet-W48 with a head of transposed convolutions.
"""

import torch

from mmcrowd.models.backbones import HRNetBilinear
from mmcrowd.models.heads import MapHead

from .names import backwards, rename

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
            missing or unknown.
    """
    result = {rename(name, NAMES): value for name, value in state_dict.items()}
    with torch.device('meta'):
        parts: dict[str, torch.nn.Module] = dict(backbone=HRNetBilinear('w48'), head=MapHead())
    expected = {f'{part}.{name}' for part in parts for name in parts[part].state_dict()}
    missing, unknown = sorted(expected - set(result)), sorted(set(result) - expected)
    if missing or unknown:
        raise ValueError(
            f'not HRNet-W48 with the head of FIDTM: {len(missing)} parameters are missing '
            f'{missing[:3]}, {len(unknown)} are unknown {unknown[:3]}'
        )
    return result


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/fidtm`` the published names.

    Their program loads nothing, and says nothing, unless each begins with ``module.``.
    """
    pairs = backwards(NAMES)
    return {f'module.{rename(name, pairs)}': value for name, value in state_dict.items()}
