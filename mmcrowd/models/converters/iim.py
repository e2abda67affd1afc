"""IIM: the weights of its program (github.com/taohan10200/IIM), under names of ``configs/iim``.

The published threshold module holds two numbers that it never uses.
"""

import torch
from torch import nn

from mmcrowd.models.backbones import HRNetBilinear, VGGFeatures
from mmcrowd.models.heads import IIMHead
from mmcrowd.models.necks import PyramidConcat

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

THRESHOLD = [('Binar.Threshold_Module.', 'head.threshold.layers.')]
HRNET_NAMES = [
    *THRESHOLD,
    ('Extractor.last_layer.0.', 'head.mix.0.'),
    ('Extractor.last_layer.1.', 'head.mix.1.'),
    ('Extractor.last_layer.3.', 'head.enlarge.0.'),
    ('Extractor.last_layer.5.', 'head.predict.'),
    ('Extractor.', 'backbone.'),
]
# Theirs cuts the layers of VGG16-bn into three parts, numbered each from 0.
PARTS = ((1, 0, 23), (2, 23, 33), (3, 33, 44))
VGG_NAMES = [
    *THRESHOLD,
    ('Extractor.de_pred.0.', 'head.mix.0.'),
    ('Extractor.de_pred.1.', 'head.mix.1.'),
    ('Extractor.de_pred.3.', 'head.enlarge.0.'),
    ('Extractor.de_pred.5.', 'head.predict.'),
    ('Extractor.neck.', 'neck.'),
    *(
        (f'Extractor.layer{part}.{place - start}.', f'backbone.{name}')
        for part, start, end in PARTS
        for place, name in vgg_layers(16, batch_norm=True)
        if start <= place < end
    ),
]
# What the published program would start them with.
UNUSED = {'Binar.weight': 0.5, 'Binar.bias': 0.0}


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/iim``.

    Raises:
        ValueError: They are not those of IIM on HRNet-W48 or VGG16-bn; the message names some that
            are missing, unknown or of another shape.
    """
    # Each of the two parts gets this where there are several GPUs.
    state_dict = {name.replace('.module.', '.', 1): value for name, value in state_dict.items()}
    used = {name: value for name, value in state_dict.items() if name not in UNUSED}
    return rename_network(used, tables())


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/iim`` the published names.

    Raises:
        ValueError: As :func:`convert`.
    """
    result = rename_network(state_dict, tables(back=True))
    return {**result, **{name: torch.tensor([value]) for name, value in UNUSED.items()}}


def tables(back: bool = False) -> dict[str, dict[str, tuple[str, torch.Size]]]:
    """For both networks the :func:`~.names.name_table`."""
    with torch.device('meta'):
        hrnet: dict[str, nn.Module] = dict(backbone=HRNetBilinear('w48'), head=IIMHead(720))
        vgg: dict[str, nn.Module] = dict(
            backbone=VGGFeatures(16, norm_cfg=dict(type='BN')),
            neck=PyramidConcat([256, 512, 512]),
            head=IIMHead(768),
        )
    return {
        'IIM on HRNet-W48': name_table(hrnet, HRNET_NAMES, back),
        'IIM on VGG16-bn': name_table(vgg, VGG_NAMES, back),
    }
