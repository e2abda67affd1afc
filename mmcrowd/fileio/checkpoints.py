"""Checkpoints: fetched from where they may be, read without running code, written whole."""

import functools
import hashlib
import io
import json
import os
import pickle
import pickletools
import re
import sys
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import numpy as np
import torch

from mmcrowd.fileio.files import write_atomic

# Environment variable: 1 for checkpoints that may hold anything, and run it.
TRUST = 'MMCROWD_TRUST_CHECKPOINTS'
# Environment variable: a folder that is looked into before anything is downloaded.
WEIGHTS_DIR = 'MMCROWD_WEIGHTS_DIR'

# Where a message about a missing file sends its reader.
WHERE = 'docs/pretrained_weights.md says where weights come from'

# Key of the meta information in a safetensors file, which holds texts only.
META = 'mmcrowd'
# What of a model a prediction does not use.
UNUSED = ('loss_module.',)
# Names of parameters that a message lists.
LISTED = 4

# How torch names what a file wants beside tensors and plain values.
_GLOBAL = re.compile(r'(?:GLOBAL|Unsupported global:) ((?!GLOBAL)[\w.]+)')

# First digits of its sha256 at the end of the name of a file, as OpenMMLab and torch have them.
_DIGITS = re.compile(r'-([a-f0-9]{8,})\.[^.]*$')


# --------------------------------------------------------------------------------------- reading


def read_checkpoint(file: str | Path | BinaryIO, map_location: Any = 'cpu') -> dict[str, Any]:
    """Read a checkpoint without running any code that may be in it.

    A file of ``torch.save`` may hold tensors, plain Python values and what MMEngine's runner saves
    besides, histories of logged values and numpy's numbers. Options that a program keeps beside its
    weights, of argparse or yacs, are passed over. A ``.safetensors`` file can hold tensors only.

    The text of a config in ``meta['config']`` is left out: it is Python, and MMEngine's runner
    would run it on resuming.

    Args:
        file: File, or an open one.
        map_location: Where tensors go, see :func:`torch.load`. Defaults to 'cpu'.

    Returns:
        Content of the file; of a safetensors file ``state_dict`` and ``meta``.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is no checkpoint, or holds more than the above; the latter are read
            only where the environment variable ``MMCROWD_TRUST_CHECKPOINTS`` is 1.
    """
    name = str(getattr(file, 'name', 'checkpoint') if hasattr(file, 'read') else file)
    if isinstance(file, str | Path):
        file = Path(file).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f'no checkpoint file {file} ({WHERE})')
    if name.endswith('.safetensors'):
        return _read_safetensors(file, map_location)
    checkpoint = _load(file, name, map_location)
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint


def _load(file: Path | BinaryIO, name: str, map_location: Any) -> Any:
    if os.environ.get(TRUST) == '1':
        warnings.warn(f'{name}: {TRUST}=1, so code in this file is run', stacklevel=3)
        return torch.load(file, map_location=map_location, weights_only=False)
    try:
        with _with_training_state():
            return torch.load(file, map_location=map_location, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # the bytes of another kind of file end in any error
        text = str(error)
        # In these torch advises to read the file without weights_only, so none of them is shown.
        is_refused = isinstance(error, pickle.UnpicklingError) or 'weights_only' in text
        if is_refused and _is_pickle(file):
            wanted = _GLOBAL.search(text)
            what = f' ({wanted[1]})' if wanted else ''
            if 'Unsupported operand' in text:
                what = ', or has them in a pickle protocol other than 2'
            raise ValueError(
                f'{name}: refused, because it holds more than tensors and plain values{what}, and '
                f'reading that may run any code; if you trust whoever made it, set {TRUST}=1'
            ) from None
        reason = text.splitlines()[0] if text else type(error).__name__
        if is_refused:
            reason = 'expected a file of torch.save'
        raise ValueError(f'{name}: not a readable checkpoint ({reason})') from None


def _is_pickle(file: Path | BinaryIO) -> bool:
    """Whether a file is a pickle, as it is or in an archive of torch; nothing of it is run."""
    try:
        with open(file, 'rb') if isinstance(file, Path) else nullcontext(file) as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as archive:
                    (name,) = (each for each in archive.namelist() if each.endswith('/data.pkl'))
                    stream = io.BytesIO(archive.read(name))
            stream.seek(0)
            for _ in pickletools.genops(stream):
                pass
    except Exception:  # as of other bytes above
        return False
    return True


def _with_training_state():
    """Context in which torch also reads what MMEngine's runner saves, and published programs."""
    from mmengine.logging import HistoryBuffer

    reconstruct = np.ndarray.__reduce__(np.zeros(1))[0]
    scalar = np.float64.__reduce__(np.float64(1))[0]
    dtypes = {type(np.dtype(kind)) for kind in '?bBhHiIlLqQefd'}
    named = [
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')  # before and since numpy 2
        for function, name in ((reconstruct, '_reconstruct'), (scalar, 'scalar'))
    ]
    # These stand for what the file names, which is neither imported nor called.
    stand_ins = [
        (_statistic, 'builtins.getattr'),
        (_Options, 'argparse.Namespace'),
        (OrderedDict, 'yacs.config.CfgNode'),
    ]
    return torch.serialization.safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *named, *stand_ins]
    )


class _Options:
    """Stands for the options of a published program beside its weights; nothing of them is kept."""

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _statistic(owner: Any, name: str) -> Any:
    """The one use of ``getattr`` in a checkpoint of MMEngine: the statistics of a history."""
    from mmengine.logging import HistoryBuffer

    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError('Unsupported global: builtins.getattr')


def _read_safetensors(file: Path | BinaryIO, map_location: Any) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = file.read_bytes() if isinstance(file, Path) else file.read()
    try:
        state_dict = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], 'little')])
        meta = json.loads(header.get('__metadata__', {}).get(META, '{}'))
    except (SafetensorError, ValueError) as error:
        raise ValueError(f'{file}: not a readable safetensors file ({error})') from None
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    return dict(state_dict={key: each.to(device) for key, each in state_dict.items()}, meta=meta)


def find_damage(path: str | Path) -> str | None:
    """What is wrong with the file of a checkpoint, without reading it into memory.

    The sums of ``torch.save`` tell every changed byte of the tensors, which
    :func:`read_checkpoint` would take for numbers.

    Args:
        path: A file of ``torch.save``, as of torch 1.6, or a folder, which is not looked into.

    Returns:
        The reason, or None for a checkpoint that is as it was written.
    """
    if os.path.isdir(path):  # of DeepSpeed
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
    except FileNotFoundError:
        return 'no such file'
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        size = f'{os.path.getsize(path)} bytes' if os.path.isfile(path) else 'no file'
        return f'{error}; {size}'
    return None if changed is None else f'{changed} in it is not as it was written'


def load_state_dict(path: str | Path, key: str = 'state_dict') -> dict[str, torch.Tensor]:
    """Read the parameters of a checkpoint, of this project or of another one.

    Args:
        path: File of ``torch.save`` or safetensors, see :func:`read_checkpoint`.
        key: Where a checkpoint keeps its parameters; a file of parameters alone is taken as it is.
            Defaults to 'state_dict'.

    Returns:
        Parameters and buffers by name, on the CPU, without the ``module.`` that training on several
        GPUs puts before each name.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is no checkpoint of this kind, or is refused.
    """
    return parameters_of(read_checkpoint(path), path, key)


def parameters_of(
    checkpoint: Any, path: str | Path, key: str = 'state_dict'
) -> dict[str, torch.Tensor]:
    """The parameters in the content of a checkpoint; see :func:`load_state_dict`.

    Args:
        checkpoint: What :func:`read_checkpoint` gives.
        path: Its file, for the error.
        key: Where the parameters are. Defaults to 'state_dict'.

    Raises:
        ValueError: There are no parameters.
    """
    state_dict = checkpoint.get(key, checkpoint) if isinstance(checkpoint, dict) else None
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(value, torch.Tensor) for value in state_dict.values())
    ):
        raise ValueError(f'{path}: no parameters, neither under "{key}" nor at the top')
    return {name.removeprefix('module.'): value for name, value in state_dict.items()}


def require_same_parameters(
    expected: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], source: str | Path
) -> None:
    """Make sure that parameters are those of a model.

    Those of its loss, which no prediction uses, and the batch counters of batch normalisation may
    differ.

    Args:
        expected: State dict of the model.
        given: State dict that is to be loaded into it.
        source: Where it comes from, for the message.

    Raises:
        ValueError: They differ; the message says in which names and shapes.

    Examples:
        >>> model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 1, bias=False)
        >>> require_same_parameters(model.state_dict(), other.state_dict(), 'other.pth')
        Traceback (most recent call last):
        ValueError: other.pth: weights of another model: 1 of its 2 parameters missing (bias); \
1 of another shape (weight (1, 3), expected (2, 3))
    """
    expected = {key: value for key, value in expected.items() if not key.startswith(UNUSED)}
    given = {key: value for key, value in given.items() if not key.startswith(UNUSED)}
    missing = [
        key for key in expected if key not in given and not key.endswith('num_batches_tracked')
    ]
    unknown = [key for key in given if key not in expected]
    reshaped = [
        f'{key} {tuple(given[key].shape)}, expected {tuple(value.shape)}'
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    problems = [
        f'{len(names)} {what} ({_some(names)})'
        for names, what in (
            (missing, f'of its {len(expected)} parameters missing'),
            (unknown, 'that it does not have'),
            (reshaped, 'of another shape'),
        )
        if names
    ]
    if problems:
        raise ValueError(f'{source}: weights of another model: {"; ".join(problems)}')


def _some(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ', '.join(names[:LISTED]) + (f' and {more} more' if more > 0 else '')


# --------------------------------------------------------------------------------------- writing


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
            with ``weights_only=True``; for safetensors values that JSON has.
        path: File to write, in the form of safetensors if it ends in ``.safetensors``, otherwise
            that of ``torch.save``. Missing folders are made.
        key: Where the program that will read a file of ``torch.save`` keeps the parameters; None
            for a file of parameters alone, without ``meta``. Defaults to 'state_dict'.
    """
    if str(path).endswith('.safetensors'):
        from safetensors.torch import save

        tensors = {key: value.contiguous() for key, value in state_dict.items()}
        write_atomic(path, save(tensors, {META: json.dumps(meta)}))
        return
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
        source: Checkpoint of MMEngine's runner.
        target: File to write.

    Raises:
        FileNotFoundError: The source is not there.
        ValueError: The source is no checkpoint.
    """
    checkpoint = read_checkpoint(source)
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


# -------------------------------------------------------------------------------------- fetching


def download_checkpoint(url: str) -> Path:
    """Download a checkpoint to the downloads of torch, unless it is there.

    Args:
        url: Its address. OpenMMLab's file names end in the first digits of the sha256, which tells
            a download that was cut off.

    Returns:
        The file, see :func:`fetch_weights`.

    Raises:
        FileNotFoundError: If the download fails. The message gives the URL, the reason and the path
            where to put the file.
    """
    return fetch_weights(Path(urlparse(url).path).name, [url])


def find_local_weights(
    name: str, mirrors: Sequence[str | Path], sha256: str | None = None
) -> Path | None:
    """A file of weights on this machine, where :func:`fetch_weights` looks; None if there is none.

    Args:
        name: Name of the file.
        mirrors: Paths and URLs; of the latter nothing is downloaded.
        sha256: Digits of the file's sha256, which are not checked here. Defaults to None.
    """
    return next(_local_weights(name, mirrors, sha256), None)


def _local_weights(name: str, mirrors: Sequence[str | Path], sha256: str | None) -> Iterator[Path]:
    own = _own_path(name)
    local = [Path(mirror) for mirror in mirrors if '://' not in str(mirror)]
    paths = [*([own] if own else []), *local, _download_path(name, mirrors, sha256)]
    return (path for path in paths if path.is_file())


def _own_path(name: str) -> Path | None:
    folder = os.environ.get(WEIGHTS_DIR)
    return Path(folder, name).expanduser() if folder else None


def _download_path(name: str, mirrors: Sequence[str | Path], sha256: str | None) -> Path:
    """Where a download is kept: by its name alone only if digits tell which file it is."""
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    urls = [str(mirror) for mirror in mirrors if '://' in str(mirror)]
    if urls and not (sha256 or _DIGITS.search(name)):
        folder /= hashlib.sha256(urls[0].encode()).hexdigest()[:16]
    return folder / name


@functools.cache  # once for each file: a training asks several times
def _tell_own(path: Path) -> None:
    print(f'{path} is taken, which is in the folder of {WEIGHTS_DIR}', file=sys.stderr, flush=True)


def fetch_weights(name: str, mirrors: Sequence[str | Path], sha256: str | None = None) -> Path:
    """Find a file of weights on this machine, or else download it.

    It is looked for in the folder that the environment variable ``MMCROWD_WEIGHTS_DIR`` names, by
    its name alone, which a line on stderr tells; at those mirrors that are paths; and among the
    downloads of torch. Then the mirrors that are URLs are tried, one after the other. Downloads of
    one name from several addresses are kept apart. A file with another sha256 is passed over, which
    a line on stderr tells.

    Args:
        name: Name of the file.
        mirrors: Paths and URLs, in the order in which they are tried.
        sha256: Digits of the file's sha256, to be checked wherever it comes from. Defaults to None:
            a download is checked by the digits in its name, if there are any.

    Returns:
        The file.

    Raises:
        FileNotFoundError: The file is nowhere. The message gives the reason for each mirror, and
            the path where to put the file.
        ValueError: It is nowhere but as a file on this machine with another sha256.
    """
    damaged = []
    for path in _local_weights(name, mirrors, sha256):
        try:
            _check_digest(path, sha256)
        except ValueError as error:
            print(f'{error}; passed over', file=sys.stderr, flush=True)
            damaged.append(str(error))
            continue
        if path == _own_path(name):
            _tell_own(path)
        return path
    cached = _download_path(name, mirrors, sha256)
    failures = []
    for url in (str(mirror) for mirror in mirrors if '://' in str(mirror)):
        try:
            _download(url, cached, sha256)
            return cached
        # A ValueError is an address that is none.
        except (OSError, HTTPException, RuntimeError, ValueError) as error:
            failures.append(f'{url} ({error})')
    if damaged:
        failed = f'; cannot download {", ".join(failures)}' if failures else ''
        raise ValueError('; '.join(damaged) + failed)
    reason = f'cannot download {", ".join(failures)}' if failures else f'no file {name}'
    folder = f'the folder that {WEIGHTS_DIR} names'
    if (own := _own_path(name)) is not None and not own.parent.is_dir():
        folder += f' ({own.parent}, which is not there)'
    raise FileNotFoundError(f'{reason}: put the file at {cached}, or into {folder}')


def _download(url: str, path: Path, sha256: str | None) -> None:
    urlparse(url)  # raises for what is no address, of which torch would leave an empty file
    # stdout is for results.
    print(f'Downloading {url} to {path}', file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = _DIGITS.search(path.name)
    torch.hub.download_url_to_file(
        url,
        str(path),
        hash_prefix=sha256 or (digits[1] if digits else None),
        progress=os.isatty(2),
    )


def _check_digest(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    if not seen.startswith(sha256):
        raise ValueError(f'{path}: sha256 {seen}, expected {sha256}; remove it or replace it')
