"""RAZ_loc: the weights of its program
(github.com/gjy3035/NWPU-Crowd-Sample-Code-for-Localization), under names of ``configs/raz``.
"""

import torch

from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import RAZHead

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Their transposed convolutions, and the convolution after each.
STAGES = ((3, 5), (6, 8), (9, 11))
NAMES = [
    *(
        (f'CCN.features4.{place}.', f'backbone.{name}')
        for place, name in vgg_layers(16)
        if place < 23
    ),
    *((f'CCN.de_pred.{i}.conv.', f'head.context.{i}.') for i in range(3)),
    *((f'CCN.de_pred.{place}.', f'head.enlarge.{i}.') for i, (place, _) in enumerate(STAGES)),
    *((f'CCN.de_pred.{place}.conv.', f'head.refine.{i}.') for i, (_, place) in enumerate(STAGES)),
    ('CCN.de_pred.12.conv.', 'head.predict.'),
]
# Constants of their target and loss that their network holds.
CONSTANTS = {
    'loc.loc.lkernel.weight': torch.tensor([[[[0.0, 1, 0], [1, 1, 1], [0, 1, 0]]]]),
    'loss_bce_fn.nll_loss.weight': torch.tensor([1.0, 100.0]),
}


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters the names of a counter of ``configs/raz``.

    Raises:
        ValueError: They are not those of this network; the message names some that are missing,
            unknown or of another shape.
    """
    state_dict = {name.replace('.module.', '.', 1): value for name, value in state_dict.items()}
    used = {name: value for name, value in state_dict.items() if name not in CONSTANTS}
    return rename_network(used, {'RAZ_loc': table()})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/raz`` the published names.

    Raises:
        ValueError: As :func:`convert`.
    """
    return {**rename_network(state_dict, {'RAZ_loc': table(back=True)}), **CONSTANTS}


def table(back: bool = False) -> dict[str, tuple[str, torch.Size]]:
    """The :func:`~.names.name_table` of the network."""
    with torch.device('meta'):
        parts: dict[str, torch.nn.Module] = dict(
            backbone=VGGFeatures(16, out_stages=(3,)), head=RAZHead()
        )
    return name_table(parts, NAMES, back)
