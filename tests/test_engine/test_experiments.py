"""A training and its test in processes of their own."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from mmengine.config import Config

from mmcrowd.engine import experiments
from mmcrowd.engine.experiments import RunOptions, run_tool, train_and_test, write_config

SHELL = '#!/bin/sh\necho "$@" > "$1.said"\n'
PYTHON = """
import pathlib, sys
pathlib.Path(sys.argv[1] + '.said').write_text(' '.join(sys.argv[1:]))
sys.exit('bad' in sys.argv[1])
"""
SLEEPER = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Folder of the tools: they write what they are told beside their first argument."""
    folder = tmp_path / 'tools'
    folder.mkdir()
    for name in ('train', 'test'):
        (folder / f'{name}.py').write_text(PYTHON)
        launcher = folder / f'dist_{name}.sh'
        launcher.write_text(SHELL)
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(experiments, 'bundled', lambda name: tmp_path / name)
    return folder


def test_arguments_of_the_tools(tools, tmp_path):
    config = tmp_path / 'c.py'
    said = tmp_path / 'c.py.said'
    run_tool('train', [config], ['--amp'])
    assert said.read_text() == f'{config} --amp'
    # A launcher gets the number of processes behind what is to be run.
    run_tool('train', [config], ['--amp'], gpus=2)
    assert said.read_text() == f'{config} 2 --amp\n'
    run_tool('test', [config, 'best.pth'], ['--amp'], gpus=4)
    assert said.read_text() == f'{config} best.pth 4 --amp\n'


def test_a_tool_that_fails(tools, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(subprocess.CalledProcessError, match=r'train\.py.*bad\.py'):
        run_tool('train', [tmp_path / 'bad.py'], [])
    assert signal.getsignal(signal.SIGTERM) is before


def test_terminated_with_its_training(tools, tmp_path):
    (tools / 'train.py').write_text(SLEEPER)
    code = (
        'import pathlib\n'
        'from mmcrowd.engine import experiments\n'
        f'experiments.bundled = lambda name: pathlib.Path({str(tools)!r})\n'
        f'experiments.run_tool("train", [{str(tmp_path / "pid")!r}], [])\n'
    )
    with subprocess.Popen([sys.executable, '-c', code]) as process:
        pid = tmp_path / 'pid'
        while not (pid.exists() and pid.read_text()) and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize('number', [0, 2])
def test_one_best_checkpoint_is_needed(tools, tmp_path, number):
    for k in range(number):
        (tmp_path / f'best_{k}.pth').touch()
    with pytest.raises(RuntimeError, match=rf'one best_\*\.pth, but has {number}: .*delete'):
        train_and_test(tmp_path / 'a.py', tmp_path, RunOptions())


def test_a_finished_run_is_not_run_again(tools, tmp_path):
    result = {'count/MAE': 3.0}
    (tmp_path / 'result.json').write_text(json.dumps(result))
    assert train_and_test(tmp_path / 'a.py', tmp_path, RunOptions()) == result
    assert not (tmp_path / 'a.py.said').exists()


def test_a_config_that_is_edited_meanwhile_changes_no_run(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text("train_cfg = dict(max_epochs=1)\nmodel = dict(type='A', loss=dict(a=1))\n")
    options = RunOptions(False, [])
    cfg = options.read_config(path)
    changes = {'model.loss': dict(_delete_=True, b=2)}
    write_config(tmp_path / 'run.py', cfg, changes, options, 'comparison')
    path.write_text("train_cfg = dict(max_epochs=9)\nmodel = dict(type='A', loss=dict(a=1))\n")
    run = Config.fromfile(tmp_path / 'run.py')
    assert run.train_cfg.max_epochs == 1 and run.model == dict(type='A', loss=dict(b=2))
    with pytest.raises(ValueError, match=r'run\.py is of another comparison'):
        write_config(tmp_path / 'run.py', options.read_config(path), changes, options, 'comparison')
