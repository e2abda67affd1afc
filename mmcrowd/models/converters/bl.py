"""VGG-19 of the programs of the Bayesian loss, DM-Count and GL, under the names of our configs.

The three programs (github.com/ZhihengCV/Bayesian-Crowd-Counting, cvlab-stonybrook/DM-Count and
jia-wan/GeneralizedLoss-Counting-Pytorch) publish checkpoints of one network; those of the configs
``{bl,dmc,gl}_vgg19_official_*`` have the same parameters. The programs differ in how they enlarge
the features and make the density non-negative, which the config says and no checkpoint does.
"""

from functools import cache

import torch
from torch import nn

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import RegressionHead

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Beginnings of the names of the last layer: DM-Count's, and that of the two others.
LAST = dict(bl='reg_layer.4.', dmc='density_layer.0.')


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ours.

    Raises:
        ValueError: They are not those of this network; the message names what is missing, unknown
            or of another shape.
    """
    return rename_network(state_dict, {name: _table(name, back=False) for name in LAST})


def convert_back(state_dict: dict[str, torch.Tensor], program: str) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ours the published names.

    Args:
        state_dict: Parameters under our names.
        program: ``'bl'``, ``'dmc'`` or ``'gl'``, whose names to give; those of ``'bl'`` and
            ``'gl'`` are the same.

    Raises:
        ValueError: As for :func:`convert`.
    """
    name = 'dmc' if program == 'dmc' else 'bl'
    return rename_network(state_dict, {program: _table(name, back=True)})


@cache
def _table(name: str, back: bool) -> dict[str, tuple[str, torch.Size]]:
    """The table of names of one program."""
    pairs = [(f'features.{place}.', f'backbone.{ours}') for place, ours in vgg_layers(19)]
    pairs += [
        ('reg_layer.0.', 'head.convs.0.'),
        ('reg_layer.2.', 'head.convs.1.'),
        (LAST[name], 'head.predict.'),
    ]
    with torch.device('meta'):
        parts: dict[str, nn.Module] = dict(
            backbone=VGGFeatures(19, out_stages=(4,)), head=RegressionHead()
        )
    return name_table(parts, pairs, back)
