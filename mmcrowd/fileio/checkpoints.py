"""Checkpoints: downloaded to where they are looked for, read safely, written whole."""

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from mmcrowd.fileio.files import write_atomic


class _Skipped:
    """Stands for an object beside the weights, of which nothing is kept."""

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# What training programs store beside the weights: MMEngine the history of its log, others their
# options. The names are those in the file; what they name is neither imported nor called.
SKIPPED = (
    'argparse.Namespace',
    'builtins.getattr',
    'mmengine.logging.history_buffer.HistoryBuffer',
    'numpy.dtype',
    'numpy.ndarray',
    *(
        f'numpy.{core}.multiarray.{name}'
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    ),
)
# Dictionaries of a class of their own, read as plain ones.
DICTIONARIES = ('yacs.config.CfgNode',)


def _without_what_is_beside() -> AbstractContextManager:
    """Context in which ``torch.load`` reads stand-ins for the objects that are named above."""
    if torch.__version__ < '2.7':  # which reads files with weights and plain values only
        return nullcontext()
    stand_ins: list[Callable | tuple[Callable, str]] = [(_Skipped, name) for name in SKIPPED]
    stand_ins += [(OrderedDict, name) for name in DICTIONARIES]
    return torch.serialization.safe_globals(stand_ins)


def load_state_dict(path: str | Path, key: str = 'state_dict') -> dict[str, torch.Tensor]:
    """Read the parameters of a checkpoint, of this project or of another one.

    The file may hold tensors and plain Python values only (``weights_only``), and besides, which is
    not kept, the log of MMEngine and the options of programs that use argparse or yacs: no code in
    it is run.

    Args:
        path: File that ``torch.save`` has written.
        key: Where a checkpoint keeps its parameters; a file of parameters alone is taken as it is.
            Defaults to 'state_dict'.

    Returns:
        Parameters and buffers by name, on the CPU, without the ``module.`` that training on several
        GPUs puts before each name.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is no checkpoint of this kind.
    """
    try:
        with _without_what_is_beside():
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # the bytes of another kind of file end in any error
        raise ValueError(f'{path}: not a readable checkpoint ({error})') from error
    state_dict = checkpoint.get(key, checkpoint) if isinstance(checkpoint, dict) else None
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(value, torch.Tensor) for value in state_dict.values())
    ):
        raise ValueError(f'{path}: no parameters, neither under "{key}" nor at the top')
    return {name.removeprefix('module.'): value for name, value in state_dict.items()}


def save_checkpoint(
    state_dict: dict[str, torch.Tensor],
    meta: dict[str, Any],
    path: str | Path,
    key: str | None = 'state_dict',
) -> None:
    """Write a checkpoint that appears whole or not at all.

    Args:
        state_dict: Parameters by name.
        meta: Where they come from; plain Python values only, so that ``torch.load`` reads the file
            with ``weights_only=True``.
        path: File to write. Missing folders are made.
        key: Where the program that will read it keeps the parameters; None for a file of parameters
            alone, without ``meta``. Defaults to 'state_dict'.
    """
    buffer = io.BytesIO()
    torch.save(state_dict if key is None else {key: state_dict, 'meta': meta}, buffer)
    write_atomic(path, buffer.getvalue())


def slim_checkpoint(source: str | Path, target: str | Path) -> None:
    """Write a training checkpoint anew in less than an eighth of its size, to keep or to send.

    Parameters are in half precision, but for tensors with a number beyond its range. The memory of
    the optimizer and a second set of averaged weights are left out; epoch, learning rates and the
    scalars so far stay. So a test takes the file, and a training resumes from it, with an optimizer
    that starts to remember anew.

    Args:
        source: Checkpoint of MMEngine's runner. It is read with the objects in it, so it must be
            from where you trust.
        target: File to write.

    Raises:
        FileNotFoundError: The source is not there.
        ValueError: The source is no checkpoint.
    """
    checkpoint = torch.load(source, map_location='cpu', weights_only=False)
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise ValueError(f'{source}: no checkpoint of a training, it has no "state_dict"')
    checkpoint.pop('ema_state_dict', None)
    checkpoint['state_dict'] = {k: _half(v) for k, v in checkpoint['state_dict'].items()}
    if 'optimizer' in checkpoint:
        checkpoint['optimizer'] = dict(checkpoint['optimizer'], state={})
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_atomic(target, buffer.getvalue())


def _half(value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if half.isfinite().all() or not value.isfinite().all() else value


def download_checkpoint(url: str) -> Path:
    """Download a checkpoint to the place where MMEngine and torch look for it, unless it is there.

    Args:
        url: Its address. OpenMMLab's file names end in the first digits of the sha256, which tells
            a download that was cut off.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If the download fails. The message gives the URL, the reason and the path
            where to put the file.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    if path.exists():
        return path
    print(f'Downloading {url} to {path}', flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digits = torch.hub.HASH_REGEX.search(path.name)
        torch.hub.download_url_to_file(
            url, str(path), hash_prefix=digits[1] if digits else None, progress=os.isatty(2)
        )
    except (OSError, HTTPException, RuntimeError) as error:
        raise FileNotFoundError(
            f'cannot download {url} ({error}): put the file at {path}'
        ) from error
    return path
