"""D2CNet: the weights of its program (github.com/hustaia/Decoupled_Two-stage_Counting), under names
of ``configs/d2cnet``.

Its files hold two networks: the map of probabilities under ``state_dict1`` and the regressor of the
counts under ``state_dict2``.
"""

import io
from pathlib import Path

import torch

from mmcrowd.fileio.checkpoints import (
    load_state_dict,
    parameters_of,
    read_checkpoint,
    save_checkpoint,
)
from mmcrowd.fileio.files import write_atomic
from mmcrowd.models.backbones import VGGFeatures
from mmcrowd.models.heads import D2CHead
from mmcrowd.models.necks import UNet

from .names import name_table, rename_network
from .vgg_layers import vgg_layers

# Theirs cuts the layers of VGG16 into five parts, numbered each from 0.
PARTS = ((1, 0, 4), (2, 4, 9), (3, 9, 16), (4, 16, 23), (5, 23, 30))
CHANNELS = ((512, 256), (256, 128), (128, 64), (64,))  # of the steps of the neck
REGRESSOR = ('frontend.', 'backend_reg.')  # beginnings of names of their second network
NAMES = [
    *(
        (f'feature{part}.{place - start}.', f'backbone.{name}')
        for part, start, end in PARTS
        for place, name in vgg_layers(16)
        if start <= place < end
    ),
    *(
        (f'decode{4 - stage}.{i}.conv.', f'neck.convs.{stage}.{i}.')
        for stage in range(4)
        for i in range(2)
    ),
    ('prob_conv.0.conv.', 'head.predict.'),
    *(
        (f'frontend.features.{place}.', f'head.regressor.vgg.{name}')
        for place, name in vgg_layers(16)
    ),
    ('backend_reg.0.', 'head.regressor.mix.'),
    ('backend_reg.2.', 'head.regressor.predict.'),
]


def convert(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the published parameters of both networks the names of a counter of ``configs/d2cnet``.

    Raises:
        ValueError: They are not those of this network; the message names some that are missing,
            unknown or of another shape.
    """
    return rename_network(state_dict, {'D2CNet': table()})


def convert_back(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the parameters of a counter of ``configs/d2cnet`` the published names.

    Raises:
        ValueError: As :func:`convert`.
    """
    return rename_network(state_dict, {'D2CNet': table(back=True)})


def convert_files(source: str | Path, target: str | Path, back: bool = False) -> str:
    """Write a checkpoint of the program as one of ours, or one of ours as the program reads it.

    Args:
        source: Checkpoint to convert.
        target: File to write.
        back: Whether the source is ours. Defaults to False.

    Returns:
        What was written, for the command line.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is no checkpoint of this kind, or of another network; the message begins with
            the file.
    """
    state_dict: dict[str, torch.Tensor] = {}
    if back:
        state_dict = load_state_dict(source)
    else:
        checkpoint = read_checkpoint(source)
        for key in ('state_dict1', 'state_dict2'):
            state_dict |= parameters_of(checkpoint, source, key)
    try:
        state_dict = convert_back(state_dict) if back else convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    if back:
        second = {name: x for name, x in state_dict.items() if name.startswith(REGRESSOR)}
        first = {name: x for name, x in state_dict.items() if name not in second}
        buffer = io.BytesIO()
        # The program wants to know when a training stopped, and how good it was at best.
        content = dict(state_dict1=first, state_dict2=second, epoch=0, best_prec1=float('inf'))
        torch.save(content, buffer)
        write_atomic(target, buffer.getvalue())
    else:
        save_checkpoint(state_dict, dict(source=Path(source).name), target)
    size = sum(value.numel() for value in state_dict.values())
    return f'{target}: {len(state_dict)} parameters and buffers, {size:,} numbers'


def table(back: bool = False) -> dict[str, tuple[str, torch.Size]]:
    """The :func:`~.names.name_table` of the network."""
    with torch.device('meta'):
        parts: dict[str, torch.nn.Module] = dict(
            backbone=VGGFeatures(16, out_stages=(0, 1, 2, 3, 4)),
            neck=UNet(channels=CHANNELS, upsample='bilinear_corners'),
            head=D2CHead(),
        )
    return name_table(parts, NAMES, back)
