"""From one checkpoint file to another."""

from collections.abc import Callable
from pathlib import Path

import torch

from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint


def convert_file(
    source: str | Path,
    target: str | Path,
    convert: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    source_key: str = 'state_dict',
    target_key: str | None = 'state_dict',
) -> str:
    """Write a checkpoint anew with its parameters under other names.

    Args:
        source: Checkpoint to convert.
        target: File to write.
        convert: From the old names to the new ones; raises a ``ValueError`` if the parameters are
            those of another network.
        source_key: See :func:`~mmcrowd.fileio.checkpoints.load_state_dict`. Defaults to
            'state_dict'.
        target_key: See :func:`~mmcrowd.fileio.checkpoints.save_checkpoint`. Defaults to
            'state_dict'.

    Returns:
        What was written, for the command line.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is no checkpoint of this kind, or of another network; the message begins with
            the file.
    """
    state_dict = load_state_dict(source, source_key)
    try:
        state_dict = convert(state_dict)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    save_checkpoint(state_dict, dict(source=Path(source).name), target, target_key)
    size = sum(value.numel() for value in state_dict.values())
    return f'{target}: {len(state_dict)} parameters and buffers, {size:,} numbers'
