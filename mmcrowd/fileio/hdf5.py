"""Arrays of HDF5 files, in which some programs publish their weights."""

from pathlib import Path

import h5py
import numpy as np


def open_weights(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no HDF5 file.
    """
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
