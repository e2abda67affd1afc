import uuid

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmcrowd.engine import ResumeValidationHook


class Toy(BaseModel):
    """Its weight is the number of steps that it was trained for."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode='tensor'):
        return dict(loss=-self.weight.sum()) if mode == 'loss' else [self.weight.detach().clone()]


class Steps(BaseMetric):
    seen = []

    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0].item())

    def compute_metrics(self, results):
        Steps.seen.append(results[0])
        # The best is the model of two steps.
        return dict(error=abs(results[0] - 2))


def run(work_dir, max_epochs, val_interval=1, resume=False):
    """Epochs of one step; what was validated is the number of steps at each validation."""
    Steps.seen = []
    loader = dict(
        batch_size=1, dataset=[torch.zeros(1)], sampler=dict(type='DefaultSampler', shuffle=False)
    )
    runner = Runner(
        model=Toy(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs, val_interval=val_interval),
        val_cfg=dict(),
        val_evaluator=[Steps()],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, save_best='error', rule='less')
        ),
        custom_hooks=[ResumeValidationHook()],
        resume=resume,
        experiment_name=uuid.uuid4().hex,
    )
    runner.train()
    return Steps.seen


def test_killed_before_the_validation_of_the_best_epoch(tmp_path, monkeypatch):
    def killed(self, data_batch, data_samples):
        if data_samples[0].item() == 2:
            raise KeyboardInterrupt
        self.results.append(data_samples[0].item())

    with monkeypatch.context() as patch:
        patch.setattr(Steps, 'process', killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, 3)
    assert run(tmp_path, 3, resume=True) == [2, 3]
    assert [path.name for path in tmp_path.glob('best_*.pth')] == ['best_error_epoch_2.pth']


def test_only_what_was_due_is_validated(tmp_path):
    assert run(tmp_path, 1, val_interval=2) == [1]  # the last epoch always is
    assert run(tmp_path, 4, val_interval=2, resume=True) == [2, 4]
    assert run(tmp_path, 4, val_interval=2, resume=True) == [4]
