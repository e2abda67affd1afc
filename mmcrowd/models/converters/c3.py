"""SFCN, CSRNet and MCNN of the C-3-Framework, under the names of ``configs/{sfcn,c3}``.

The program (github.com/gjy3035/C-3-Framework) has one wrapper around all of its networks, whose
``CCN.`` or, after a training on several GPUs, ``CCN.module.`` stands before every name. Which of
the networks a checkpoint belongs to, its names and shapes say.
"""

from functools import cache

import torch
from mmpretrain.models.backbones import ResNet
from torch import nn

from mmcrowd.models.backbones import MCNN, CSRNet
from mmcrowd.models.heads import PerPixelHead
from mmcrowd.models.necks import SpatialEncoder

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

NETWORKS = ('SFCN', 'CSRNet', 'MCNN')
PREFIX = 'CCN.'


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ours.

    Raises:
        ValueError: They are those of none of the three networks; the message names what is missing,
            unknown or of another shape.
    """
    bare = {
        name.removeprefix(PREFIX).removeprefix('module.'): value
        for name, value in state_dict.items()
    }
    return rename_network(bare, {network: _table(network, back=False) for network in NETWORKS})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ours the published names, those of one GPU.

    Raises:
        ValueError: As for :func:`convert`.
    """
    bare = rename_network(state_dict, {network: _table(network, back=True) for network in NETWORKS})
    return {PREFIX + name: value for name, value in bare.items()}


@cache
def _table(network: str, back: bool) -> dict[str, tuple[str, torch.Size]]:
    """The table of names of one network."""
    with torch.device('meta'):
        parts, pairs = dict(SFCN=_sfcn, CSRNet=_csrnet, MCNN=_mcnn)[network]()
    return name_table(parts, pairs, back)


def _sfcn() -> tuple[dict[str, nn.Module], list[tuple[str, str]]]:
    """Parts of the network, and beginnings of names: theirs, ours."""
    with torch.device('cpu'):  # it reads a value of a tensor, which has none on the meta device
        backbone = ResNet(
            101, num_stages=3, strides=(1, 2, 1), dilations=(1, 1, 1), out_indices=(2,)
        )
    pairs = [
        ('frontend.0.', 'backbone.conv1.'),
        ('frontend.1.', 'backbone.bn1.'),
        ('frontend.4.', 'backbone.layer1.'),
        ('frontend.5.', 'backbone.layer2.'),
        ('own_reslayer_3.', 'backbone.layer3.'),
        *((f'backend.{2 * place}.', f'neck.convs.{place}.conv.') for place in range(6)),
        ('convDU.conv.0.', 'neck.rows.conv.'),
        ('convLR.conv.0.', 'neck.columns.conv.'),
        ('output_layer.0.', 'head.predict.'),
    ]
    return dict(backbone=backbone, neck=SpatialEncoder(), head=PerPixelHead()), pairs


def _csrnet() -> tuple[dict[str, nn.Module], list[tuple[str, str]]]:
    """See :func:`_sfcn`."""
    pairs = [(f'frontend.{place}.', f'backbone.{ours}') for place, ours in vgg_layers(16)]
    pairs += [(f'backend.{2 * place}.', f'backbone.back_end.{place}.conv.') for place in range(6)]
    pairs += [('output_layer.', 'head.predict.')]
    return dict(backbone=CSRNet(), head=PerPixelHead()), pairs


def _mcnn() -> tuple[dict[str, nn.Module], list[tuple[str, str]]]:
    """See :func:`_sfcn`. Its ``branch1.2`` is our ``column1.2``: both count the pooling layers."""
    pairs = [(f'branch{number}.', f'backbone.column{number}.') for number in (1, 2, 3)]
    pairs += [('fuse.0.conv.', 'head.predict.')]
    return dict(backbone=MCNN(in_channels=3), head=PerPixelHead(30, in_stride=4)), pairs
