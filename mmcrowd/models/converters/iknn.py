"""MUD-ikNN: the weights of its program (github.com/golmschenk/sr-gan), under names of
``configs/iknn``."""

import torch
from mmpretrain.models.backbones import DenseNet

from mmcrowd.models.heads import IKNNHead

from .names import name_table, rename_network

BLOCKS = (6, 12, 48, 32)  # layers of the dense blocks of DenseNet201
NAMES = [
    ('conv_layer1.conv0.', 'backbone.stem.0.'),
    ('conv_layer1.norm0.', 'backbone.stem.1.'),
    *(
        (
            f'dense_blocks.denseblock{block + 1}.denselayer{layer + 1}.',
            f'backbone.stages.{block}.block.{layer}.',
        )
        for block, number in enumerate(BLOCKS)
        for layer in range(number)
    ),
    *((f'transition_layers.transition{i + 1}.', f'backbone.transitions.{i}.') for i in range(3)),
    ('norm5.', 'backbone.transitions.3.0.'),
    *(
        (f'map_module{i + 1}.{theirs}.', f'head.taps.{i}.{ours}.')
        for i in range(3)
        for theirs, ours in (
            ('map_transposed_conv_layer', 'to_map'),
            ('conv1', 'shrink.0'),
            ('conv2', 'shrink.1'),
            ('conv3', 'shrink.2'),
            ('linear1', 'mix'),
            ('count_layer', 'predict'),
        )
    ),
    ('final_count_feature_layer.', 'head.mix.'),
    ('count_layer.', 'head.predict.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/iknn``.

    Raises:
        ValueError: They are not those of this network; the message names some that are missing,
            unknown or of another shape.
    """
    return rename_network(state_dict, {'MUD-ikNN': table()})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/iknn`` the published names.

    Raises:
        ValueError: As :func:`convert`.
    """
    return rename_network(state_dict, {'MUD-ikNN': table(back=True)})


def table(back: bool = False) -> dict[str, tuple[str, torch.Size]]:
    """The :func:`~.names.name_table` of the network."""
    with torch.device('meta'):
        parts: dict[str, torch.nn.Module] = dict(backbone=DenseNet('201'), head=IKNNHead())
    return name_table(parts, NAMES, back)
