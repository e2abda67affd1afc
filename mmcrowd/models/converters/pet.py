"""PET: the weights of its program (github.com/cxliu0/PET), under names of ``configs/pet``.

The program saves backbone and pyramid three times and the decoder twice, for its parts share them,
and loads the last copy of each. It also saves the convolution of a third level of the pyramid that
it never uses.
"""

import torch

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import PETHead
from mmcrowd.models.necks import FeaturePyramid

from .names import name_table, rename_network
from .p2pnet import CONVOLUTIONS

# Beginnings of the names: theirs, ours. Of several copies it is the last.
BACKBONE = 'quadtree_dense.backbone.0.'
DECODER = 'quadtree_dense.transformer.decoder.'
NAMES = [
    *((f'{BACKBONE}body{b}.{i}.', f'backbone.features.{k}.conv.') for b, i, k in CONVOLUTIONS),
    *((f'{BACKBONE}body{b}.{i + 1}.', f'backbone.features.{k}.bn.') for b, i, k in CONVOLUTIONS),
    *((f'{BACKBONE}fpn.P{3 + i}_1.', f'neck.laterals.{i}.') for i in range(3)),
    *((f'{BACKBONE}fpn.P{3 + i}_2.', f'neck.convs.{i}.') for i in range(2)),
    ('input_proj.0.', 'head.projections.0.'),
    ('input_proj.1.', 'head.projections.1.'),
    ('context_encoder.encoder.layers.', 'head.encoder.layers.'),
    *(
        (f'{DECODER}layers.{i}.{theirs}.', f'head.decoder.{i}.{ours}.')
        for i in range(2)
        for theirs, ours in [
            ('multihead_attn', 'cross_attn'),
            *((name, name) for name in ('self_attn', 'linear1', 'linear2')),
            *((f'norm{k}', f'norm{k}') for k in (1, 2, 3)),
        ]
    ),
    (f'{DECODER}norm.', 'head.norm.'),
    ('quadtree_splitter.1.', 'head.predict_split.'),
    *((f'quadtree_{s}.class_embed.', f'head.predict_{s}_logits.') for s in ('sparse', 'dense')),
    *(
        (f'quadtree_{s}.coord_embed.layers.{i}.', f'head.{s}_offsets.{2 * i}.')
        for s in ('sparse', 'dense')
        for i in range(3)
    ),
]
# The other copies, by the beginnings of their names and of those of the last copy.
COPIES = [
    ('backbone.0.', BACKBONE),
    ('quadtree_sparse.backbone.0.', BACKBONE),
    ('quadtree_sparse.transformer.decoder.', DECODER),
]
# A convolution that no part of the program uses: shape of its weight.
UNUSED = 'fpn.P5_2.'
UNUSED_SHAPE = (256, 256, 3, 3)


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/pet``.

    Raises:
        ValueError: They are not those of PET on VGG16-bn; the message names some that are missing,
            unknown or of another shape.
    """
    copies = tuple(theirs for theirs, _ in COPIES)
    single = {
        name: value
        for name, value in state_dict.items()
        if not name.startswith((*copies, BACKBONE + UNUSED))
    }
    return rename_network(single, {'PET on VGG16-bn': name_table(_parts(), NAMES)})


def convert_back(
    state_dict: dict[str, torch.Tensor], unused: dict[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/pet`` the published names, all copies included.

    Args:
        state_dict: Parameters and buffers of the counter.
        unused: ``weight`` and ``bias`` of the convolution that the program loads and never uses.
            Defaults to None, zeros.

    Raises:
        ValueError: They are not those of such a network.
    """
    result = rename_network(state_dict, {'PET on VGG16-bn': name_table(_parts(), NAMES, back=True)})
    if unused is None:
        unused = dict(weight=torch.zeros(UNUSED_SHAPE), bias=torch.zeros(UNUSED_SHAPE[0]))
    result.update({f'{BACKBONE}{UNUSED}{name}': value for name, value in unused.items()})
    for copy, last in COPIES:
        for name in [name for name in result if name.startswith(last)]:
            result[copy + name[len(last) :]] = result[name]
    return result


def _parts() -> dict[str, torch.nn.Module]:
    """The parts of the network, without values."""
    with torch.device('meta'):
        return dict(
            backbone=VGGFeatures(16, out_stages=(2, 3, 4), norm_cfg=dict(type='BN')),
            neck=FeaturePyramid([256, 512, 512], num_outs=2),
            head=PETHead(),
        )
