import time

import torch
from mmengine.hooks import Hook
from mmengine.hooks import IterTimerHook as MMEngineIterTimerHook

from mmcrowd.engine.hooks import IterTimerHook
from tests.testing.runs import make_runner


class Jump(Hook):
    """A clock that is set back a day before the second step, and forward after it."""

    def __init__(self, monkeypatch):
        self.patch = monkeypatch
        self.clock = time.time

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 1:
            self.patch.setattr(time, 'time', lambda: self.clock() - 86400)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.patch.setattr(time, 'time', self.clock)


def test_a_clock_that_jumps(tmp_path, monkeypatch):
    dataset = [dict(inputs=torch.ones(1))] * 6
    runner = make_runner(tmp_path, dataset, epochs=1, custom_hooks=[Jump(monkeypatch)])
    runner.train()
    (hook,) = (hook for hook in runner._hooks if isinstance(hook, MMEngineIterTimerHook))
    assert type(hook) is IterTimerHook
    hub = runner.message_hub
    seconds = hub.get_scalar('train/time').data[0]
    assert len(seconds) == 3 and (seconds > 0).all() and (seconds < 3600).all()
    data = hub.get_scalar('train/data_time').data[0]
    assert ((data >= 0) & (data <= seconds)).all()
    rates = hub.get_scalar('train/images_per_second').data[0]
    assert torch.allclose(torch.from_numpy(rates * seconds).float(), torch.full((3,), 2.0))
    assert hub.get_info('eta') == 0
