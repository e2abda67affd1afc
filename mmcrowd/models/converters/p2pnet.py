"""P2PNet: the weights of its program (github.com/TencentYoutuResearch/CrowdCounting-P2PNet), under
names of ``configs/p2pnet``.

The published network holds 3.6 million numbers that it never uses: two more convolutions in each
branch, and the levels of its feature pyramid that no head looks at.
"""

import torch

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import PointHead
from mmcrowd.models.necks import TopDownFusion

from .names import name_table, rename_network

# Convolutions of the backbone: their body and place in it, where the normalisation is the next
# layer, and our place, where it is part of the layer.
CONVOLUTIONS = [
    (1, 0, 0),
    (1, 3, 1),
    (1, 7, 3),
    (1, 10, 4),
    *((2 + stage, 1 + 3 * i, 6 + 4 * stage + i) for stage in range(3) for i in range(3)),
]
# Beginnings of the names: theirs, ours.
NAMES = [
    *((f'backbone.body{b}.{i}.', f'backbone.features.{k}.conv.') for b, i, k in CONVOLUTIONS),
    *((f'backbone.body{b}.{i + 1}.', f'backbone.features.{k}.bn.') for b, i, k in CONVOLUTIONS),
    ('fpn.P4_1.', 'neck.lateral_fine.'),
    ('fpn.P5_1.', 'neck.lateral_coarse.'),
    ('fpn.P4_2.', 'neck.fusion.0.conv.'),
    ('regression.conv1.', 'head.offset_convs.0.conv.'),
    ('regression.conv2.', 'head.offset_convs.1.conv.'),
    ('regression.output.', 'head.predict_offsets.'),
    ('classification.conv1.', 'head.logit_convs.0.conv.'),
    ('classification.conv2.', 'head.logit_convs.1.conv.'),
    ('classification.output.', 'head.predict_logits.'),
]
# Shapes of the weights of convolutions that the published network holds and never uses.
UNUSED = {
    'regression.conv3': (256, 256, 3, 3),
    'regression.conv4': (256, 256, 3, 3),
    'classification.conv3': (256, 256, 3, 3),
    'classification.conv4': (256, 256, 3, 3),
    'fpn.P5_2': (256, 256, 3, 3),
    'fpn.P3_1': (256, 256, 1, 1),
    'fpn.P3_2': (256, 256, 3, 3),
}


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/p2pnet``.

    Raises:
        ValueError: They are not those of P2PNet on VGG16-bn with four reference points in a cell;
            the message names some that are missing, unknown or of another shape.
    """
    used = {
        name: value for name, value in state_dict.items() if name.rpartition('.')[0] not in UNUSED
    }
    return rename_network(used, {'P2PNet on VGG16-bn': name_table(_parts(), NAMES)})


def unused(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of the published parameters that their network never uses, for the way back."""
    return {name: value for name, value in state_dict.items() if name.rpartition('.')[0] in UNUSED}


def convert_back(
    state_dict: dict[str, torch.Tensor], unused: dict[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/p2pnet`` the published names.

    Args:
        state_dict: Parameters and buffers of the counter.
        unused: Published parameters that have no part in the result and that their program will
            load all the same, see :func:`unused`. Defaults to None, zeros.

    Raises:
        ValueError: They are not those of such a network.
    """
    table = name_table(_parts(), NAMES, back=True)
    result = rename_network(state_dict, {'P2PNet on VGG16-bn': table})
    if unused is None:
        unused = {}
        for name, shape in UNUSED.items():
            unused[f'{name}.weight'] = torch.zeros(shape)
            unused[f'{name}.bias'] = torch.zeros(shape[0])
    return {**result, **unused}


def _parts() -> dict[str, torch.nn.Module]:
    """The parts of the network, without values."""
    with torch.device('meta'):
        return dict(
            backbone=VGGFeatures(16, norm_cfg=dict(type='BN')),
            neck=TopDownFusion([512, 512]),
            head=PointHead(256),
        )
