"""Checkpoints that a config names by URL."""

import os
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.config import Config

# The variable in which each launcher tells a process its place on its machine.
LOCAL_RANK = dict(pytorch='LOCAL_RANK', slurm='SLURM_LOCALID', mpi='OMPI_COMM_WORLD_LOCAL_RANK')


def fetch_pretrained(cfg: Config, training: bool = True) -> None:
    """Download the checkpoints that ``cfg`` names by URL, before anything is built.

    MMEngine downloads them too, but late, and a failure there ends in the error of a socket. Here
    the failure says what to do. The files go where MMEngine looks for them. One process of each
    machine downloads; the others wait for it where the runner first synchronises.

    Args:
        cfg: Config of the run. Looked at are ``load_from``, ``launcher`` and, below
            ``model``, every ``init_cfg``.
        training: Whether the run will initialise the model. Otherwise only ``load_from``
            matters. Defaults to True.

    Raises:
        FileNotFoundError: If a file is missing or a download fails. The message gives the URL, the
            reason, the path where to put the file, and the option that does without it.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher != 'none' and int(os.environ.get(LOCAL_RANK[launcher], 0)) != 0:
        return
    wanted = [('load_from', cfg.get('load_from'))]
    if training:
        wanted.extend(_pretrained_checkpoints(cfg.get('model', {}), 'model'))
    for option, checkpoint in wanted:
        if str(checkpoint).startswith(('http://', 'https://')):
            _fetch(checkpoint, option)
        elif checkpoint and '://' not in str(checkpoint) and not Path(checkpoint).exists():
            raise FileNotFoundError(
                f'no checkpoint file {checkpoint}: put it there' + _without(option)
            )


def _pretrained_checkpoints(node, key: str) -> Iterator[tuple[str, str]]:
    """Yield (config key of the ``init_cfg``, checkpoint) for every one below ``node``."""
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, (list, tuple)):
        children = enumerate(node)
    else:
        return
    for name, child in children:
        if name != 'init_cfg':
            yield from _pretrained_checkpoints(child, f'{key}.{name}')
            continue
        for init in child if isinstance(child, (list, tuple)) else [child]:
            if init and 'checkpoint' in init:
                yield f'{key}.init_cfg', init['checkpoint']


def _fetch(url: str, option: str) -> None:
    """Download ``url`` to the place where MMEngine looks for it, unless it is there."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    if path.exists():
        return
    print(f'Downloading {url} to {path}', flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # OpenMMLab's names end in the first digits of the sha256, which tells a cut-off download.
        digits = torch.hub.HASH_REGEX.search(path.name)
        torch.hub.download_url_to_file(
            url, path, hash_prefix=digits and digits[1], progress=os.isatty(2)
        )
    except (OSError, HTTPException, RuntimeError) as error:
        # The chain of sockets behind it would hide the sentence.
        raise FileNotFoundError(
            f'cannot download {url} ({error}): put the file at {path}' + _without(option)
        ) from None


def _without(option: str) -> str:
    """What else can be done: nothing for ``load_from``, which the command line has named itself."""
    if option == 'load_from':
        return ''
    return f', or do without it by `--cfg-options {option}=None`'
