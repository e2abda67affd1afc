"""MAN: the weights of its program (github.com/LoraLinH/
Boosting-Crowd-Counting-via-Multifaceted-Attention) under the names of ``configs/man``."""

from functools import cache

import torch
from torch import nn

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import DensityHead
from mmcrowd.models.necks import RegionAttentionEncoder

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Parts of an encoder layer: theirs, ours.
LAYER_NAMES = [
    ('self_attn.in_proj_', 'attention.in_proj.'),
    ('self_attn.out_proj.', 'attention.out_proj.'),
    ('linear1.', 'expand.'),
    ('linear2.', 'reduce.'),
    ('norm1.', 'attention_norm.'),
    ('norm2.', 'feedforward_norm.'),
]
# Beginnings of the names: theirs, ours.
NAMES = [
    *((f'features.{place}.', f'backbone.{ours}') for place, ours in vgg_layers(19)),
    *(
        (f'encoder.layers.{i}.{theirs}', f'neck.layers.{i}.{ours}')
        for i in range(4)
        for theirs, ours in LAYER_NAMES
    ),
    ('reg_layer_0.0.', 'head.convs.0.conv.'),
    ('reg_layer_0.2.', 'head.convs.1.conv.'),
    ('reg_layer_0.4.', 'head.predict.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/man``.

    Raises:
        ValueError: They are not those of this network; the message names what is missing, unknown
            or of another shape.
    """
    return rename_network(state_dict, dict(MAN=_table(back=False)))


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/man`` the published names.

    Raises:
        ValueError: As for :func:`convert`.
    """
    return rename_network(state_dict, dict(MAN=_table(back=True)))


@cache
def _table(back: bool) -> dict[str, tuple[str, torch.Size]]:
    with torch.device('meta'):
        parts: dict[str, nn.Module] = dict(
            backbone=VGGFeatures(19, out_stages=(4,)),
            neck=RegionAttentionEncoder(),
            head=DensityHead(512, (256, 128), in_stride=16, out_stride=16),
        )
    return name_table(parts, NAMES, back)
