"""DMCount-EBC on VGG-19, under the names of ``configs/ebc``.

It is ``vgg19_ae`` of its program (github.com/Yiming-M/CLIP-EBC).
"""

from functools import cache

import torch
from torch import nn

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import EBCHead

from .names import name_table, rename_network
from .vgg_layers import vgg_layers


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ours.

    Raises:
        ValueError: They are not those of this network; the message names what is missing, unknown
            or of another shape.
    """
    return rename_network(state_dict, {'EBC': _table(_bins(state_dict, 'classifier'), back=False)})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ours the published names.

    Raises:
        ValueError: As for :func:`convert`.
    """
    return rename_network(state_dict, {'EBC': _table(_bins(state_dict, 'head.predict'), back=True)})


def _bins(state_dict: dict[str, torch.Tensor], last: str) -> int:
    """Number of bins that the last layer tells; 5 where there is none, for the message."""
    bias = state_dict.get(f'{last}.bias')
    return 5 if bias is None else len(bias)


@cache
def _table(bins: int, back: bool) -> dict[str, tuple[str, torch.Size]]:
    """The table of names for so many bins."""
    pairs = [(f'backbone.features.{place}.', f'backbone.{ours}') for place, ours in vgg_layers(19)]
    pairs += [
        ('backbone.reg_layer.0.', 'head.convs.0.'),
        ('backbone.reg_layer.2.', 'head.convs.1.'),
        ('classifier.', 'head.predict.'),
    ]
    with torch.device('meta'):
        parts: dict[str, nn.Module] = dict(
            backbone=VGGFeatures(19, out_stages=(4,)), head=EBCHead(range(bins))
        )
    return name_table(parts, pairs, back)
