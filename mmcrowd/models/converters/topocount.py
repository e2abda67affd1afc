"""TopoCount: the weights of its program (github.com/ShahiraAbousamra/TopoCount), under names of
``configs/topocount``."""

import torch

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import LogitHead
from mmcrowd.models.necks import UNet

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Their places of the convolutions of VGG16, level and number, in order.
ENCODER = [
    *(
        f'encoder.encoder_l_{level}.encoder_conv_l_{level}_{i}.'
        for level, number in enumerate(VGGFeatures.arch_settings[16][:-1])
        for i in range(number)
    ),
    *(f'bottleneck.bottleneck_conv_{i}.' for i in range(3)),
]
NAMES = [
    *(
        (theirs, f'backbone.{ours}')
        for theirs, (_, ours) in zip(ENCODER, vgg_layers(16), strict=True)
    ),
    # Their levels are counted from the finest, ours from the coarsest; the finest has no skip.
    *(
        pair
        for level in range(4)
        for pair in (
            (f'decoder.decoder_l_{level}.decoder_deconv_l_{level}.', f'neck.doubles.{3 - level}.'),
            (
                f'decoder.decoder_l_{level}.decoder_conv_l_{"s_" if level else ""}{level}_0.',
                f'neck.convs.{3 - level}.0.',
            ),
            (
                f'decoder.decoder_l_{level}.decoder_conv_l_{level}_1.',
                f'neck.convs.{3 - level}.1.',
            ),
        )
    ),
    ('final_layer.conv_final.', 'head.predict.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/topocount``.

    Raises:
        ValueError: They are not those of this network; the message names some that are missing,
            unknown or of another shape.
    """
    return rename_network(state_dict, {'TopoCount': table()})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/topocount`` the published names.

    Raises:
        ValueError: As :func:`convert`.
    """
    return rename_network(state_dict, {'TopoCount': table(back=True)})


def table(back: bool = False) -> dict[str, tuple[str, torch.Size]]:
    """The :func:`~.names.name_table` of the network."""
    with torch.device('meta'):
        parts: dict[str, torch.nn.Module] = dict(
            backbone=VGGFeatures(16, out_stages=range(5)),
            neck=UNet(last_skip=False),
            head=LogitHead(),
        )
    return name_table(parts, NAMES, back)
