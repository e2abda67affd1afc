"""Trainings that are killed at some moment, resumed, and compared with one that was not.

The short form is ``tests/test_systems/test_kill_and_resume.py``; many kills at random moments:

    python -c 'from tests.testing import kills; kills.main()' --kills 20
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import signal
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mmcrowd.engine import launch
from mmcrowd.fileio.checkpoints import read_checkpoint
from mmcrowd.models import DensityCounter
from mmcrowd.registry import MODELS

EPOCHS = 3
BATCHES = 4  # of an epoch

PIPELINE = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=32),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]


@MODELS.register_module()
class KilledNetwork(nn.Module):
    """Stride 4, with whatever a checkpoint may forget: statistics, and draws in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)
        )

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.layers(inputs),)


def make_config(work_dir: Path, by_epoch: bool) -> Config:
    """The config of a training of a few seconds.

    Args:
        work_dir: Its folder.
        by_epoch: Whether checkpoints are of epochs, or else of every third step.
    """

    def loader(split: str, num_images: int, pipeline: list, workers: int) -> dict:
        dataset = dict(
            type='SyntheticCrowdDataset',
            split=split,
            num_images=num_images,
            img_size=(64, 48),
            max_count=10,
            pipeline=pipeline,
        )
        sampler = dict(type='DefaultSampler', shuffle=split == 'train')
        return dict(batch_size=2, num_workers=workers, sampler=sampler, dataset=dataset)

    return Config(
        dict(
            default_scope='mmcrowd',
            work_dir=str(work_dir),
            launcher='none',
            model=dict(
                type='DensityCounter',
                data_preprocessor=dict(type='CrowdDataPreprocessor', std=[255.0] * 3, mean=[0] * 3),
                backbone=dict(type='KilledNetwork'),
                head=dict(
                    type='DensityHead', in_channels=8, mid_channels=(), in_stride=4, out_stride=4
                ),
                loss=dict(type='PMLLoss'),
            ),
            train_dataloader=loader('train', 2 * BATCHES, PIPELINE, 1),
            val_dataloader=loader('val', 4, [PIPELINE[0], PIPELINE[-1]], 0),
            val_evaluator=dict(type='CountMetric'),
            val_cfg=dict(),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-5, momentum=0.9)
            ),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, end=5, by_epoch=False),
                dict(type='MultiStepLR', milestones=[2], by_epoch=True),
            ],
            train_cfg=dict(by_epoch=True, max_epochs=EPOCHS, val_interval=1),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(
                    type='CheckpointHook',
                    interval=1 if by_epoch else 3,
                    by_epoch=by_epoch,
                    max_keep_ckpts=1,
                    save_best='count/MAE',
                    rule='less',
                ),
                augmentation_seed=dict(type='AugmentationSeedHook'),
                step_seed=dict(type='StepSeedHook'),
                sync_norm=dict(type='SyncNormHook'),
                resume_epoch=dict(type='ResumeEpochHook'),
                resume_validation=dict(type='ResumeValidationHook'),
                non_finite_guard=dict(type='NonFiniteGuardHook'),
                train_count=dict(type='TrainCountHook'),
            ),
            custom_hooks=[
                dict(type='EMAHook', momentum=0.1, update_buffers=True),
                dict(type='FreezeNormHook', begin=2),
            ],
            visualizer=dict(type='CrowdVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
            log_processor=dict(by_epoch=True, window_size=3),
            log_level='ERROR',
            randomness=dict(seed=0),
        )
    )


# --------------------------------------------------------------------------------- the processes


def train(work_dir: Path, by_epoch: bool, place: str | None, count: int) -> None:
    """Train, resuming what is there, in this process, up to some moment.

    Args:
        work_dir: Folder of the run.
        by_epoch: See :func:`make_config`.
        place: What kills the process: ``'step'``, ``'val'``, ``'file'`` or None for nothing.
        count: Before which step, validated batch or file operation from now on, from 1.
    """
    torch.set_num_threads(1)
    work_dir.mkdir(parents=True, exist_ok=True)
    output = os.open(work_dir / 'output.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # A killed training may have begun to warm up its loader; its warnings are of no interest.
    warnings.filterwarnings('ignore', category=UserWarning)
    if place is not None:
        arm(place, count)
    cfg = make_config(work_dir, by_epoch)
    launch.resume(cfg)
    launch.train(cfg)


def arm(place: str, count: int) -> None:
    """Have this process killed at a moment, see :func:`train`."""
    calls = itertools.count(1)

    def before(owner: Any, name: str) -> None:
        function: Callable = getattr(owner, name)

        def killed(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == count:
                if name == 'fsync' and stat.S_ISREG(
                    os.fstat(args[0]).st_mode
                ):  # not all of it has come to the file
                    os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        setattr(owner, name, killed)

    if place == 'step':
        before(DensityCounter, 'loss')
    elif place == 'val':
        before(DensityCounter, 'predict')
    else:
        for name in ('fsync', 'replace', 'unlink'):
            before(os, name)


def run(work_dir: Path, by_epoch: bool, place: str | None = None, count: int = 0) -> int:
    """Train in a process of its own, see :func:`train`.

    Args:
        work_dir: Folder of the run.
        by_epoch: See :func:`make_config`.
        place: As in :func:`train`, or ``'time'`` for a kill from outside. Defaults to None.
        count: As in :func:`train`, or milliseconds. Defaults to 0.

    Returns:
        The exit code, minus the signal for a process that was killed.
    """
    # A server that has imported everything, and forks.
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__, 'matplotlib.backends.backend_agg', 'yapf'])
    armed = None if place == 'time' else place
    process = context.Process(target=train, args=(work_dir, by_epoch, armed, count))
    process.start()
    if place == 'time':
        process.join(count / 1000)
        process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


# ------------------------------------------------------------------------------------ comparison


def differences(whole: Path, killed: Path) -> Iterator[str]:
    """In which respects a run differs from another one, bit for bit; nothing for equal ones."""
    names = [_files(folder) for folder in (whole, killed)]
    if names[0] != names[1]:
        yield f'files {names[0]}, {names[1]}'
        return
    last = [Path((folder / 'last_checkpoint').read_text()).name for folder in (whole, killed)]
    if last[0] != last[1]:
        yield f'last checkpoint {last[0]}, {last[1]}'
    for name in (name for name in names[0] if name.endswith('.pth')):
        contents = [_content(read_checkpoint(folder / name)) for folder in (whole, killed)]
        yield from _compare(*contents, name)
    logs = [_losses(folder) for folder in (whole, killed)]
    yield from _compare(*logs, 'log')


def _files(folder: Path) -> list[str]:
    """The files but for the log and the config of each start."""
    paths = [path for path in folder.iterdir() if path.is_file()]
    return sorted(path.name for path in paths if path.suffix not in ('.py', '.txt'))


def _content(checkpoint: dict) -> dict:
    hub = checkpoint.pop('message_hub')
    meta = checkpoint.pop('meta')
    info = {key: hub['runtime_info'].get(key) for key in ('best_score', 'keep_ckpt_ids')}
    info['best'] = Path(hub['runtime_info'].get('best_ckpt', '')).name
    # Times and the like may differ; a validation that was done already is repeated.
    kept = ('loss', 'lr', 'grad_norm', 'count')
    history = {
        key: torch.from_numpy(value.data[0].astype('f8'))
        for key, value in hub['log_scalars'].items()
        if key.startswith('train/') and any(word in key for word in kept)
    }
    return {**checkpoint, 'info': info, 'history': history, 'at': (meta['epoch'], meta['iter'])}


def _losses(work_dir: Path) -> dict:
    """The log of each step; one that was logged twice has to be the same."""
    steps: dict[int, dict] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                values = {key: entry[key] for key in ('loss', 'lr', 'grad_norm', 'pred_count')}
                assert steps.setdefault(entry['step'], values) == values, (path, entry)
    return steps


def _compare(one: Any, other: Any, name: str) -> Iterator[str]:
    if isinstance(one, dict):
        if set(one) != set(other):
            yield f'{name}: {set(one) ^ set(other)}'
            return
        for key in one:
            yield from _compare(one[key], other[key], f'{name} {key}')
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f'{name}: {len(one)}, {len(other)} entries'
            return
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _compare(a, b, f'{name} {index}')
    elif isinstance(one, torch.Tensor):
        if not torch.equal(one, other):
            yield f'{name}: {one.flatten()[:3]}, {other.flatten()[:3]}'
    elif one != other:
        yield f'{name}: {one}, {other}'


# ------------------------------------------------------------------------------------- many kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    total, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        wholes = {}
        for by_epoch in (True, False):
            wholes[by_epoch] = Path(folder, f'whole_{by_epoch}')
            begin = time.monotonic()
            assert run(wholes[by_epoch], by_epoch) == 0
            milliseconds = int(1000 * (time.monotonic() - begin))
        trial = 0
        while total < args.kills:
            trial += 1
            by_epoch = bool(trial % 2)
            killed = Path(folder, str(trial))
            # Several kills of one run, until it comes to its end.
            while total < args.kills:
                place = draw.choice(['step', 'val', 'file', 'file', 'time'])
                most = dict(time=milliseconds, val=2 * EPOCHS).get(place, 12)
                count = draw.randint(1, most)
                begin = time.monotonic()
                code = run(killed, by_epoch, place, count)
                total += code == -signal.SIGKILL
                print(
                    f'run {trial}, checkpoints by {"epoch" if by_epoch else "step"}, {place} '
                    f'{count}: exit {code} after {time.monotonic() - begin:.1f} s',
                    flush=True,
                )
                if code == 0:
                    break
            assert run(killed, by_epoch) == 0, (killed / 'output.txt').read_text()[-3000:]
            found = list(differences(wholes[by_epoch], killed))
            failed += bool(found)
            print(f'run {trial}: {found or "equal bit for bit"}', flush=True)
    print(f'{total} kills, {trial} runs, {failed} of them differ')
    sys.exit(bool(failed))
