"""One training and its one test, for reports that compare several.

A work dir has for every run its config ``NAME.py`` and a folder ``NAME`` with its log, checkpoints
and, when it is finished, ``result.json``.
"""

import argparse
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmcrowd.fileio.files import read_json, write_atomic

from .config import bundled, read_config

# What is kept of a test.
METRICS = 'count/MAE', 'count/RMSE', 'count/NAE'


@dataclass(frozen=True)
class RunOptions:
    """Options that all runs of a work dir share.

    Args:
        amp: Whether to train and test in mixed precision. Defaults to False.
        cfg_options: ``KEY=VALUE`` as on the command line. Defaults to none.
        gpus: Number of processes for the launcher. Defaults to None, one process without it.
        data_root: Folder of the dataset instead of the one in the config. Defaults to None.

    Examples:
        >>> options = RunOptions(amp=True, cfg_options=['train_cfg.max_epochs=2'])
        >>> options.values()
        {'train_cfg.max_epochs': 2}
        >>> print(options)
        --amp train_cfg.max_epochs=2
        >>> options.arguments()
        ['--amp', '--cfg-options', 'train_cfg.max_epochs=2']
    """

    amp: bool = False
    cfg_options: Sequence[str] = ()
    gpus: int | None = None
    data_root: str | None = None

    def arguments(self) -> list[str]:
        """The options as ``train.py`` and ``test.py`` take them, but for the number of GPUs."""
        cfg_options = ['--cfg-options', *self.cfg_options] if self.cfg_options else []
        data_root = ['--data-root', self.data_root] if self.data_root else []
        return [*['--amp'] * self.amp, *data_root, *cfg_options]

    def values(self) -> dict[str, Any]:
        """``cfg_options`` as values by key."""
        parser = argparse.ArgumentParser()
        parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
        given = ['--cfg-options', *self.cfg_options] if self.cfg_options else []
        return parser.parse_args(given).cfg_options

    def read_config(self, path: str | Path) -> Config:
        """The config that all runs of a work dir begin with, under these options."""
        return read_config(path, self.values(), self.data_root)

    def __str__(self) -> str:
        gpus = [] if self.gpus is None else [f'--gpus {self.gpus}']
        data_root = [f'--data-root {self.data_root}'] if self.data_root else []
        return ' '.join([*gpus, *['--amp'] * self.amp, *data_root, *self.cfg_options]) or 'none'


def write_config(
    path: Path, cfg: Config, changes: Mapping[str, Any], options: RunOptions, what: str
) -> None:
    """Write the config of a run, or find it as it was written before.

    It has all settings and inherits from nothing, so that a run is what it was when it was begun,
    whatever is edited meanwhile. Its first line keeps the options, although they go to the tools.

    Args:
        path: The file.
        cfg: Config that all runs begin with, under the options.
        changes: What this run changes, by dotted key.
        options: Those of all runs.
        what: What the work dir is for, to be named in the error.

    Raises:
        ValueError: If the file is of another config, of other options or settings.
    """
    settings = copy.deepcopy(cfg)
    settings.merge_from_dict(dict(changes))
    text = f'{_first_line(options)}{settings.pretty_text}'
    if path.exists() and path.read_text(encoding='utf-8') != text:
        raise ValueError(
            f'{path} is of another {what}: the options, {cfg.filename}, what it inherits or '
            'MMCROWD_DATA_ROOT have changed since it was begun; choose another --work-dir'
        )
    write_atomic(path, text)


def require_options(path: Path, options: RunOptions) -> None:
    """See that a run of an earlier call has the options of this one.

    Args:
        path: What :func:`write_config` wrote.
        options: Those of all runs.

    Raises:
        ValueError: It has others; the message has both.
    """
    with path.open(encoding='utf-8') as file:
        found, expected = file.readline(), _first_line(options)
    if found != expected:
        raise ValueError(
            f'{path} begins with {found.strip()!r}, expected {expected.strip()!r}: all runs of a '
            'work dir have the same options; choose another --work-dir'
        )


def _first_line(options: RunOptions) -> str:
    """Of the config of a run."""
    return f'# Options: {options}\n'


def train_and_test(config: Path, folder: Path, options: RunOptions, **facts: Any) -> dict[str, Any]:
    """Train, or continue a training, and test the best checkpoint once.

    Args:
        config: Config of the run.
        folder: Its work dir. What a finished run left there is returned without running anything.
        options: Those of all runs.
        **facts: To be kept with the result.

    Returns:
        ``METRICS`` of the test, ``checkpoint`` (str, the name of the tested one) and the facts.

    Raises:
        CalledProcessError: If training or test fails, which has said why.
        RuntimeError: If training did not leave exactly one best checkpoint.
    """
    result = folder / 'result.json'
    if result.exists():
        return read_json(result)
    arguments = options.arguments()
    run_tool('train', [config], ['--work-dir', folder, '--resume', *arguments], options.gpus)
    best = list(folder.glob('best_*.pth'))
    if len(best) != 1:
        raise RuntimeError(
            f'{folder} should have one best_*.pth, but has {len(best)}: either the config does not '
            'set default_hooks.checkpoint.save_best, or training was killed while one was saved; '
            'delete the folder to train it anew'
        )
    run_tool('test', [config, best[0]], ['--work-dir', folder / 'test', *arguments], options.gpus)
    metrics = read_json(max((folder / 'test').glob('*/*.json')))
    metrics = {key: metrics[key] for key in METRICS} | dict(checkpoint=best[0].stem) | facts
    write_atomic(result, json.dumps(metrics, indent=1))
    return metrics


def run_tool(
    name: str, inputs: Sequence[Any], options: Sequence[Any], gpus: int | None = None
) -> None:
    """Train or test in a process of its own, so that every run starts from the same state.

    Args:
        name: ``'train'`` or ``'test'``.
        inputs: Positional arguments: the config, and for a test the checkpoint.
        options: The other arguments.
        gpus: Number of processes for the launcher. Defaults to None, one process without it.

    Raises:
        CalledProcessError: If it fails.
    """
    tools = bundled('tools')
    tool = [sys.executable, tools / f'{name}.py'] if gpus is None else [tools / f'dist_{name}.sh']
    processes = [] if gpus is None else [gpus]
    command = [str(part) for part in (*tool, *inputs, *processes, *options)]
    # Terminated, this process must not leave the other one training.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    process = subprocess.Popen(command, env=dict(os.environ, PYTHON=sys.executable))
    try:
        process.wait()
    except BaseException:
        # Unlike a kill, it lets a launcher end its processes.
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
