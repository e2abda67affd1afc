"""What the converters share: reading arrays of an HDF5 file, writing a checkpoint."""

import os
from pathlib import Path

import h5py
import numpy as np
import torch


def open_weights(path: str | Path) -> h5py.File:
    """Open an HDF5 file, or raise a ``FileNotFoundError`` or ``ValueError`` that names it."""
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}')
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise ValueError(f'{path}: not a readable HDF5 file ({error})') from error


def read_array(file: h5py.File, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read one array of an open file as float32.

    Args:
        file: Open HDF5 file.
        key: Name of the array in it.
        shape: Shape that it must have.

    Raises:
        ValueError: If there is no such array, or its shape differs.
    """
    if key not in file:
        raise ValueError(f'{file.filename}: no array "{key}", found {sorted(file)}')
    value = np.asarray(file[key], dtype=np.float32)
    if value.shape != shape:
        raise ValueError(f'{file.filename}: "{key}" has shape {value.shape}, expected {shape}')
    return value


def save_checkpoint(state_dict: dict[str, torch.Tensor], meta: dict, path: str | Path) -> None:
    """Write a checkpoint in one step, so that an interrupted run leaves no half-written file.

    Args:
        state_dict: Parameters by name.
        meta: Where they come from; plain Python values only, so that ``torch.load`` reads the file
            with ``weights_only=True``.
        path: File to write. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.part')
    torch.save(dict(state_dict=state_dict, meta=meta), partial)
    os.replace(partial, path)
