import uuid
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmcrowd.engine import TimeLimitHook
from mmcrowd.engine.hooks import time_limit_hook
from mmcrowd.fileio.checkpoints import slim_checkpoint


class Clock:
    """Seconds that pass only when something is done."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time_limit_hook, 'time', SimpleNamespace(monotonic=lambda: self.now))


class Toy(BaseModel):
    """A step takes 10 s, a validation 3 s."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.steps = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='tensor'):
        self.clock.now += 10 if mode == 'loss' else 3
        return dict(loss=-self.steps.sum()) if mode == 'loss' else [self.steps.detach().clone()]


class Steps(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0].item())

    def compute_metrics(self, results):
        return dict(steps=results[0])


@pytest.fixture
def train(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)

    def run(seconds, by_epoch=True, batches=1, val_interval=1, resume=False):
        """What is trained until then: steps, epochs or iterations, and the last validation."""

        def loader(length):
            sampler = dict(type='DefaultSampler', shuffle=False)
            return dict(batch_size=1, dataset=[torch.zeros(1)] * length, sampler=sampler)

        length = dict(max_epochs=9) if by_epoch else dict(max_iters=9)
        runner = Runner(
            model=Toy(clock),
            work_dir=str(tmp_path),
            train_dataloader=loader(batches),
            val_dataloader=loader(1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
            train_cfg=dict(by_epoch=by_epoch, val_interval=val_interval, **length),
            val_cfg=dict(),
            val_evaluator=[Steps()],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=100),
                time_limit=dict(type='mmcrowd.TimeLimitHook', seconds=seconds),
            ),
            log_processor=dict(by_epoch=by_epoch),
            resume=resume,
            experiment_name=uuid.uuid4().hex,
        )
        runner.train()
        validated = runner.message_hub.get_scalar('val/steps').current()
        done = runner.epoch if by_epoch else runner.iter
        return runner.model.steps.item(), done, validated

    return run


def test_the_last_epoch_is_the_last_that_fits(train, tmp_path):
    # After epoch n, 13 n - 3 s are spent, and 3 + 10 + 3 s are needed for one more.
    assert train(seconds=50) == (3, 3, 3)
    assert [path.name for path in tmp_path.glob('epoch_*.pth')] == ['epoch_3.pth']
    # The next run goes on, with as many seconds of its own. A slim checkpoint is all it needs.
    slim_checkpoint(tmp_path / 'epoch_3.pth', tmp_path / 'epoch_3.pth')
    assert train(seconds=50, resume=True) == (6, 6, 6)


def test_an_epoch_is_not_cut_short_but_validated(train):
    assert train(seconds=1, batches=4, val_interval=5) == (4, 1, 4)


def test_enough_time(train):
    assert train(seconds=9 * 13) == (9, 9, 9)


def test_training_by_iterations(train, tmp_path):
    # After iteration 4 and one validation, 43 s are spent, and 16 s are needed for one more.
    assert train(seconds=50, by_epoch=False, batches=9, val_interval=2) == (4, 4, 4)
    assert [path.name for path in tmp_path.glob('iter_*.pth')] == ['iter_4.pth']


@pytest.mark.parametrize('seconds', [0, -1, float('nan')])
def test_no_time(seconds):
    with pytest.raises(ValueError, match=f'seconds must be positive, but got {seconds}'):
        TimeLimitHook(seconds)
