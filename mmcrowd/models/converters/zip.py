"""ZIP: the weights of its program (github.com/Yiming-M/EBC-ZIP) under the names of ``configs/zip``.

Three of the five published sizes, ZIP-P, ZIP-N and ZIP-T, are networks of ``configs/zip``.
"""

import re

import torch
from torch.nn.functional import pad

from .names import backwards, rename

# Beginnings of the names: theirs, ours.
NAMES = [
    ('backbone.encoder.', 'backbone.timm_model.'),
    ('bin_head.', 'head.predict_bins.'),
    ('pi_head.', 'head.predict_pi.'),
]
# The same inside of a residual block of the neck, of ZIP-P and ZIP-N, and of ZIP-T.
SHORTCUT_NAMES = [('downsample.0.', 'shortcut.conv.'), ('downsample.1.', 'shortcut.bn.')]
SINGLE_NAMES = [
    ('conv1.', 'depthwise.conv.'),
    ('norm1.', 'depthwise.bn.'),
    ('conv2.', 'pointwise.conv.'),
    ('norm2.', 'pointwise.bn.'),
    *SHORTCUT_NAMES,
]
DOUBLE_NAMES = [
    ('conv1.depthwise.', 'first.depthwise_conv.conv.'),
    ('conv1.pointwise.', 'first.pointwise_conv.conv.'),
    ('norm1.', 'first.pointwise_conv.bn.'),
    ('conv2.depthwise.', 'second.depthwise_conv.conv.'),
    ('conv2.pointwise.', 'second.pointwise_conv.conv.'),
    ('norm2.', 'second.pointwise_conv.bn.'),
    *SHORTCUT_NAMES,
]
# Theirs numbers blocks only where there are several.
THEIR_BLOCK = re.compile(r'backbone\.(refiner|decoder)\.(?:(\d)\.)?(?:refine\.)*(.*)')
OUR_BLOCK = re.compile(r'neck\.(doublings|narrowings)\.(\d)\.(.*)')


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/zip``.

    Raises:
        ValueError: A name does not belong to such a network, or there are no bin centres.
    """
    state_dict = dict(state_dict)
    if 'bin_centers' not in state_dict:
        raise ValueError('no buffer "bin_centers"')
    # Theirs begin with the 0 of the empty blocks.
    result = {'head.bin_centres': state_dict.pop('bin_centers').flatten()[1:]}
    is_double = any('.conv1.depthwise.' in name for name in state_dict)
    block_names = DOUBLE_NAMES if is_double else SINGLE_NAMES
    for name, value in state_dict.items():
        if match := THEIR_BLOCK.fullmatch(name):
            kind = dict(refiner='doublings', decoder='narrowings')[match[1]]
            new = f'neck.{kind}.{match[2] or 0}.{rename(match[3], block_names)}'
        else:
            new = rename(name, NAMES)
        result[new] = value
    return result


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/zip`` the published names.

    Raises:
        ValueError: A name does not belong to such a network, or there are no bin centres.
    """
    state_dict = dict(state_dict)
    if 'head.bin_centres' not in state_dict:
        raise ValueError('no buffer "head.bin_centres"')
    centres = pad(state_dict.pop('head.bin_centres'), (1, 0))
    result = {'bin_centers': centres.view(1, -1, 1, 1)}
    blocks = {name: match for name in state_dict if (match := OUR_BLOCK.fullmatch(name))}
    several = {match[1] for match in blocks.values() if match[2] != '0'}
    is_double = any(match[3].startswith('first.') for match in blocks.values())
    block_names = backwards(DOUBLE_NAMES if is_double else SINGLE_NAMES)
    for name, value in state_dict.items():
        if name in blocks:
            kind, number, rest = blocks[name].groups()
            new = dict(doublings='refiner', narrowings='decoder')[kind]
            new += f'.{number}' if kind in several else ''
            new += '.refine' * ((kind == 'doublings') + is_double)
            new = f'backbone.{new}.{rename(rest, block_names)}'
        else:
            new = rename(name, backwards(NAMES))
        result[new] = value
    return result
