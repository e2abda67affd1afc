"""PML: the weights of its authors' program (github.com/Elin24/pml) under the names of our configs.

The program trains five counters, with VGG16-bn, VGG19, HRNet-W40, -W44 or -W48 as backbone; those
of the configs ``pml_{vgg16bn,vgg19,hrnet,hrnet_w40,hrnet_w44}_*`` have the same parameters.
"""

from functools import cache

import torch
from torch import nn

from mmcrowd.models.backbones import HRNetBilinear, VGGFeatures
from mmcrowd.models.heads import DensityHead
from mmcrowd.models.necks import TopDownFusion

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Depth and normalisation, and channels of the finest branch, of each backbone.
VGGS = dict(vgg16_bn=(16, dict(type='BN')), vgg19=(19, None))
HRNETS = dict(hrnet_w40=40, hrnet_w44=44, hrnet_w48=48)

# Beginnings of the names behind the backbone: theirs, ours. Their "large" map is the fine one.
FUSION = 'encoder.fuse_layer.fuse_layers.0'
NAMES = [
    (f'{FUSION}.conv_large.', 'neck.lateral_fine.'),
    (f'{FUSION}.conv_small.', 'neck.lateral_coarse.'),
    (f'{FUSION}.fuse.0.', 'neck.fusion.0.conv.'),
    (f'{FUSION}.fuse.1.', 'neck.fusion.0.bn.'),
    ('encoder.fuse_layer.post_process.0.', 'neck.fusion.1.conv.'),
    ('encoder.fuse_layer.post_process.1.', 'neck.fusion.1.bn.'),
    ('decoders.0.0.', 'head.convs.0.conv.'),
    ('decoders.1.0.', 'head.convs.1.conv.'),
    ('decoders.2.', 'head.predict.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ours.

    Raises:
        ValueError: They are those of none of the five networks; the message names what is missing,
            unknown or of another shape.
    """
    return rename_network(state_dict, _tables(back=False))


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ours the published names.

    Raises:
        ValueError: As for :func:`convert`.
    """
    return rename_network(state_dict, _tables(back=True))


@cache
def _tables(back: bool) -> dict[str, dict[str, tuple[str, torch.Size]]]:
    """The table of names of each network."""
    tables = {}
    with torch.device('meta'):
        for network, (depth, norm_cfg) in VGGS.items():
            names = [*_vgg_names(depth, norm_cfg is not None), *NAMES]
            tables[network] = name_table(_vgg(depth, norm_cfg), names, back)
        for network, width in HRNETS.items():
            names = [('encoder.encoder.', 'backbone.'), *NAMES]
            tables[network] = name_table(_hrnet(width), names, back)
    return tables


def _vgg(depth: int, norm_cfg: dict | None) -> dict[str, nn.Module]:
    return dict(
        backbone=VGGFeatures(depth, norm_cfg=norm_cfg),
        neck=TopDownFusion([512, 512], out_channels=512),
        head=DensityHead(512, (512, 512), in_stride=8, out_stride=2),
    )


def _vgg_names(depth: int, batch_norm: bool) -> list[tuple[str, str]]:
    """Names of the backbone: torchvision's layers in two slices, which part before pool4."""
    layers = vgg_layers(depth, batch_norm)
    convolutions = sum(VGGFeatures.arch_settings[depth][:4])
    first_behind, _ = layers[convolutions * (2 if batch_norm else 1)]
    pool4 = first_behind - 1
    return [
        (f'encoder.encoder.{int(place > pool4)}.{place % pool4}.', f'backbone.{ours}')
        for place, ours in layers
    ]


def _hrnet(width: int) -> dict[str, nn.Module]:
    neck = TopDownFusion(
        [width, 2 * width], width, num_convs=2, norm_cfg=dict(type='BN'), lateral_bias=False
    )
    head = DensityHead(width, (width, width), in_stride=4, out_stride=2)
    return dict(backbone=HRNetBilinear(f'w{width}'), neck=neck, head=head)
