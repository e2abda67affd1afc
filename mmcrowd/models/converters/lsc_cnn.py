"""LSC-CNN: the weights of its program (github.com/val-iisc/lsc-cnn), under names of
``configs/lsc_cnn``.
"""

import torch

from mmcrowd.models.backbones import VGGSideBranches
from mmcrowd.models.heads import LSCHead
from mmcrowd.models.necks import TopDownModulation

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Convolutions of the trunk, as theirs and ours are numbered.
TRUNK = [
    (f'conv{stage}_{number}', name)
    for (stage, number), (_, name) in zip(
        (
            (stage, number)
            for stage, layers in enumerate(VGGSideBranches.arch_settings[16], start=1)
            for number in range(1, layers + 1)
        ),
        vgg_layers(16),
        strict=True,
    )
]
# Of each branch the copied convolutions and the last one, the finest scale first.
BRANCHES = [
    (['conv_scale1_1', 'conv_scale1_2'], 'conv_scale1_3'),
    ([f'conv_lowest_{i}' for i in (1, 2, 3)], 'conv_lowest_4'),
    ([f'conv_middle_{i}' for i in (1, 2, 3)], 'conv_mid_4'),
]
# Of each way the transposed convolutions and the one after, level by level, the finest first.
WAYS = [
    [
        (['transpose_4_1_a', 'transpose_4_1_b'], 'conv_after_transpose_4_1'),
        (['transpose_4_2'], 'conv_after_transpose_4_2'),
        (['transpose_4_3'], 'conv_after_transpose_4_3'),
    ],
    [
        (['transpose_2'], 'conv_after_transpose_2_1'),
        (['transpose_3'], 'conv_after_transpose_3_1'),
    ],
    [(['transpose_1'], 'conv_after_transpose_1_1')],
]
SCALES = 'DCBA'  # the finest first
NAMES = [
    *((f'{theirs}.', f'backbone.{ours}') for theirs, ours in TRUNK),
    *(
        (f'{theirs}.', f'backbone.branches.{i}.layers.{j}.conv.')
        for i, (copied, _) in enumerate(BRANCHES)
        for j, theirs in enumerate(copied)
    ),
    *((f'{last}.', f'backbone.branches.{i}.reduce.') for i, (_, last) in enumerate(BRANCHES)),
    ('conv_before_transpose_1.', 'neck.reduce.'),
    *(
        (f'{theirs}.', f'neck.ways.{i}.{j}.enlarge.{k}.')
        for i, ways in enumerate(WAYS)
        for j, (transposed, _) in enumerate(ways)
        for k, theirs in enumerate(transposed)
    ),
    *(
        (f'{last}.', f'neck.ways.{i}.{j}.refine.')
        for i, ways in enumerate(WAYS)
        for j, (_, last) in enumerate(ways)
    ),
    *(
        (f'conv{letter}_{j + 1}.', f'head.scales.{i}.hidden.{j}.')
        for i, letter in enumerate(SCALES)
        for j in range(4)
    ),
    *((f'conv{letter}_5.', f'head.scales.{i}.predict.') for i, letter in enumerate(SCALES)),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/lsc_cnn``.

    Raises:
        ValueError: They are not those of this network; the message names some that are missing,
            unknown or of another shape.
    """
    return rename_network(state_dict, {'LSC-CNN': table()})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/lsc_cnn`` the published names.

    Raises:
        ValueError: As :func:`convert`.
    """
    return rename_network(state_dict, {'LSC-CNN': table(back=True)})


def table(back: bool = False) -> dict[str, tuple[str, torch.Size]]:
    """The :func:`~.names.name_table` of the network."""
    with torch.device('meta'):
        parts: dict[str, torch.nn.Module] = dict(
            backbone=VGGSideBranches(), neck=TopDownModulation(), head=LSCHead()
        )
    return name_table(parts, NAMES, back)
