"""What the converters of published PyTorch checkpoints share: reading them, renaming parameters."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch


def read_state_dict(path: str | Path, key: str) -> dict[str, torch.Tensor]:
    """Read the parameters of a checkpoint.

    Args:
        path: File that ``torch.save`` has written.
        key: Where a checkpoint keeps its parameters; a file of parameters alone is taken as it is.

    Returns:
        Parameters and buffers by name, on the CPU, without the ``module.`` that training on several
        GPUs puts before each name.

    Raises:
        ValueError: The file is no checkpoint of this kind.
    """
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f'{path}: not a readable checkpoint ({error})') from error
    state_dict = checkpoint.get(key, checkpoint) if isinstance(checkpoint, dict) else None
    if not state_dict or not all(isinstance(value, torch.Tensor) for value in state_dict.values()):
        raise ValueError(f'{path}: no parameters, neither under "{key}" nor at the top')
    return {name.removeprefix('module.'): value for name, value in state_dict.items()}


def rename(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Replace the beginning of a name by the first pair ``(old, new)`` that fits.

    Raises:
        ValueError: None fits.
    """
    for old, new in pairs:
        if name.startswith(old):
            return new + name[len(old) :]
    raise ValueError(f'no parameter of this network: "{name}"')


def backwards(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs for the way back."""
    return [(new, old) for old, new in pairs]
