"""A training that is killed and resumed is that of one go, bit for bit."""

import copy
import signal
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from mmcrowd.engine import launch
from mmcrowd.registry import HOOKS
from tests.testing import kills
from tests.testing.processes import in_processes

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='has no SIGKILL')


@pytest.mark.parametrize(
    'by_epoch, moments',
    [
        # In a step; with half a checkpoint written.
        (True, [('step', 6), ('file', 4)]),
        # In the middle of the epoch that averages statistics; in validation.
        (False, [('step', 8), ('val', 3)]),
    ],
    ids=['checkpoints by epoch', 'checkpoints by step'],
)
def test_bit_for_bit(tmp_path, by_epoch, moments):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    assert kills.run(whole, by_epoch) == 0, (whole / 'output.txt').read_text()
    for moment in moments:
        code = kills.run(killed, by_epoch, *moment)
        assert code == -signal.SIGKILL, (killed / 'output.txt').read_text()
    assert kills.run(killed, by_epoch) == 0, (killed / 'output.txt').read_text()
    assert list(kills.differences(whole, killed)) == []


@HOOKS.register_module()
class Interruption(Hook):
    """Ends a training before its eighth step."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 7:
            raise InterruptedError


def train_twice(folder: Path) -> None:
    """Train in one go, then with an interruption in the middle of the second epoch."""
    for name in ('whole', 'interrupted'):
        cfg = kills.make_config(folder / name, by_epoch=False)
        cfg.launcher = 'pytorch'
        cfg.train_dataloader.update(batch_size=1, num_workers=0)  # as many steps as in one process
        if name == 'interrupted':
            first = copy.deepcopy(cfg)
            first.custom_hooks.append(dict(type='Interruption'))
            with pytest.raises(InterruptedError):
                launch.train(first)
            launch.resume(cfg)
            assert Path(cfg.load_from).name == 'iter_6.pth'
        launch.train(cfg)
        torch.distributed.barrier()


def test_two_processes_bit_for_bit(tmp_path):
    in_processes(train_twice, tmp_path, tmp_path)
    assert list(kills.differences(tmp_path / 'whole', tmp_path / 'interrupted')) == []
