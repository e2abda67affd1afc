import errno
import json
import logging
import sys
from types import SimpleNamespace

import mmengine.dist.utils
import numpy as np
import pytest
from mmengine.hooks import LoggerHook as MMEngineLoggerHook
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS, DefaultScope

from mmcrowd.registry import HOOKS as OURS


@pytest.fixture(params=[0, 1])
def rank(request, monkeypatch):
    """As in the first and in the second of two processes."""
    monkeypatch.setattr(mmengine.dist.utils, 'get_rank', lambda group=None: request.param)
    return request.param


@pytest.fixture
def runner(tmp_path):
    metrics = {'count/MAE': 2.5, 'curve': np.array([1, 2]), 'note': object()}
    done = []
    return SimpleNamespace(
        log_processor=SimpleNamespace(
            get_log_after_epoch=lambda *args, **kwargs: (metrics, 'text')
        ),
        logger=SimpleNamespace(info=done.append, handlers=[]),
        visualizer=SimpleNamespace(close=lambda: done.append('closed')),
        test_dataloader=[None],
        work_dir=str(tmp_path / 'run'),
        log_dir=str(tmp_path / 'run' / '1'),
        _log_dir=str(tmp_path / 'run' / '1'),
        timestamp='1',
        done=done,
    )


def build(**kwargs):
    """As MMEngine's runner builds it."""
    with DefaultScope.overwrite_default_scope('mmcrowd'):
        return HOOKS.build(dict(type='LoggerHook', **kwargs))


def test_it_takes_the_place_of_that_of_mmengine():
    hook = build(interval=7)
    assert type(hook) is OURS.get('mmcrowd.LoggerHook') is not MMEngineLoggerHook
    assert isinstance(hook, MMEngineLoggerHook)
    assert (hook.interval, hook.priority) == (7, MMEngineLoggerHook.priority)


def test_the_first_process_writes_the_metrics(rank, runner, tmp_path):
    hook = build()
    hook.before_run(runner)
    hook.after_test_epoch(runner)
    files = [path for path in tmp_path.rglob('*') if path.is_file()]
    if rank:
        assert not files
    else:
        assert files == [tmp_path / 'run' / '1' / '1.json']
        assert json.loads(files[0].read_bytes()) == {
            'count/MAE': 2.5,
            'curve': [1, 2],
            'note': None,
        }
    assert 'text' in runner.done


def test_the_first_process_moves_the_logs(rank, runner, tmp_path):
    log = tmp_path / 'run' / '1' / '1.log'
    log.parent.mkdir(parents=True)
    log.write_text('text')
    hook = build(out_dir=str(tmp_path / 'copies'), keep_local=False)
    hook.before_run(runner)
    hook.after_run(runner)
    assert log.exists() == bool(rank)
    assert (tmp_path / 'copies' / 'run' / '1.log').exists() == (not rank)
    assert 'closed' in runner.done


def test_scalars_that_cannot_be_written(runner, capsys):
    """As on a disk that is full, told once."""

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    runner.log_processor.get_log_after_iter = lambda *args: ({}, 'text')
    runner.visualizer.add_scalars = full
    runner.logger.error = runner.done.append
    runner.iter, runner.train_dataloader, runner.experiment_name = 0, [None], 'a'
    hook = build(interval=1)
    hook.before_run(runner)
    for _ in range(3):
        hook.after_train_iter(runner, 0)
    told = [line for line in runner.done if 'No space left' in line]
    assert told == [
        'scalars could not be logged ([Errno 28] No space left on device); the training goes on'
    ]


class FullStream:
    """A file on a disk that is full for its first two lines."""

    def __init__(self, stream):
        self.stream = stream
        self.number = 0

    def write(self, text):
        self.number += 1
        if self.number <= 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def test_neither_the_log_nor_stderr_can_be_written(runner, tmp_path, monkeypatch):
    runner.logger = MMLogger(tmp_path.name, log_file=str(tmp_path / 'run.log'))
    build().before_run(runner)
    (handler,) = (h for h in runner.logger.handlers if isinstance(h, logging.FileHandler))
    handler.setStream(FullStream(handler.stream))
    monkeypatch.setattr(sys, 'stderr', FullStream(sys.stderr))
    runner.logger.info('line')
    assert sys.stderr.number == 1
    handler.close()


def test_a_log_file_that_cannot_be_written(runner, tmp_path, capsys):
    path = tmp_path / 'run.log'
    runner.logger = MMLogger(tmp_path.name, log_file=str(path))
    build().before_run(runner)
    (handler,) = (h for h in runner.logger.handlers if isinstance(h, logging.FileHandler))
    handler.setStream(FullStream(handler.stream))
    for number in range(3):
        runner.logger.info(f'line {number}')
    out, err = capsys.readouterr()
    assert [f'line {number}' in out for number in range(3)] == [True] * 3
    assert err == (
        f'{path}: the log cannot be written ([Errno 28] No space left on device); the run goes on\n'
    )
    # There is room again.
    assert path.read_text().endswith('line 2\n') and 'line 1' not in path.read_text()
    # Errors of the program are told as ever.
    runner.logger.info('%d', 'no number')
    assert 'TypeError: %d format' in capsys.readouterr().err
    handler.close()
