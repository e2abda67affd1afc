"""CLTR: the weights of its program (github.com/dk-liang/CLTR), under names of ``configs/cltr``."""

import torch
from mmpretrain.models.backbones import ResNet

from mmcrowd.models.heads import CLTRHead
from mmcrowd.models.necks import DETREncoder

from .names import name_table, rename_network

# Linear layers of a layer of the decoder: theirs, ours.
ATTENTION_NAMES = dict(
    sa_qcontent_proj='self_query',
    sa_qpos_proj='self_query_position',
    sa_kcontent_proj='self_key',
    sa_kpos_proj='self_key_position',
    sa_v_proj='self_value',
    ca_qcontent_proj='query',
    ca_qpos_proj='query_position',
    ca_qpos_sine_proj='query_sine',
    ca_kcontent_proj='key',
    ca_kpos_proj='key_position',
    ca_v_proj='value',
)
DECODER = 'transformer.decoder.'
# Beginnings of the names: theirs, ours.
NAMES = [
    ('backbone.0.body.', 'backbone.'),
    ('input_proj.', 'neck.projection.'),
    ('transformer.encoder.', 'neck.'),
    *(
        (f'{DECODER}layers.{i}.{theirs}.', f'head.layers.{i}.{ours}.')
        for i in range(6)
        for theirs, ours in [
            *ATTENTION_NAMES.items(),
            ('self_attn.out_proj', 'self_out'),
            ('cross_attn.out_proj', 'out'),
            *((name, name) for name in ('linear1', 'linear2', 'norm1', 'norm2', 'norm3')),
        ]
    ),
    (f'{DECODER}norm.', 'head.norm.'),
    *((f'{DECODER}query_scale.layers.{i}.', f'head.sine_scale.{2 * i}.') for i in range(2)),
    *((f'{DECODER}ref_point_head.layers.{i}.', f'head.reference.{2 * i}.') for i in range(2)),
    ('query_embed.', 'head.embedding.'),
    ('class_embed.', 'head.predict_logits.'),
    *((f'point_embed.layers.{i}.', f'head.point_layers.{2 * i}.') for i in range(2)),
    ('point_embed.layers.2.', 'head.predict_points.'),
]
COUNTER = '.num_batches_tracked'  # of batch normalisations, which theirs has frozen


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/cltr``.

    Raises:
        ValueError: They are not those of CLTR on ResNet-50; the message names some that are
            missing, unknown or of another shape.
    """
    queries = len(state_dict.get('query_embed.weight', ()))
    table = name_table(_parts(queries), NAMES)
    counters = {name: new for name, (new, _) in table.items() if name.endswith(COUNTER)}
    for name in counters:
        del table[name]
    state_dict = {name: value for name, value in state_dict.items() if name not in counters}
    result = rename_network(state_dict, {'CLTR on ResNet-50': table})
    return {**result, **{new: torch.tensor(0) for new in counters.values()}}


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/cltr`` the published names.

    Raises:
        ValueError: They are not those of such a network.
    """
    queries = len(state_dict.get('head.embedding.weight', ()))
    table = name_table(_parts(queries), NAMES, back=True)
    result = rename_network(state_dict, {'CLTR on ResNet-50': table})
    return {name: value for name, value in result.items() if not name.endswith(COUNTER)}


def _parts(queries: int) -> dict[str, torch.nn.Module]:
    """The parts of the network, without values."""
    backbone = ResNet(50, out_indices=(3,))  # which cannot be made on the meta device
    with torch.device('meta'):
        return dict(backbone=backbone, neck=DETREncoder(), head=CLTRHead(num_queries=queries))
