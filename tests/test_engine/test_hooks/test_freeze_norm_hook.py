import uuid

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmcrowd.engine import FreezeNormHook

BATCHES = [torch.randn(6, 3, generator=torch.Generator().manual_seed(i)) * i + i for i in (1, 2, 3)]


class Toy(BaseModel):
    """Two normalisations, of which the second one has fixed statistics from the start."""

    def __init__(self):
        super().__init__()
        self.norm, self.fixed = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
        self.seen = []

    def train(self, mode=True):
        super().train(mode)
        self.fixed.eval()
        return self

    def forward(self, inputs, mode='tensor'):
        x = self.norm(inputs)
        self.fixed(inputs)
        self.seen.append((inputs, x.detach(), self.norm.running_mean.clone()))
        return dict(loss=x.square().sum())


def run(epochs, begin, work_dir):
    runner = Runner(
        model=Toy(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=1,
            dataset=BATCHES,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=lambda batch: dict(inputs=batch[0]),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        custom_hooks=[FreezeNormHook(begin)],
        experiment_name=uuid.uuid4().hex,
    )
    runner.train()
    return runner.model


def test_averaged_over_an_epoch_then_fixed(tmp_path):
    model = run(epochs=4, begin=2, work_dir=tmp_path)
    mean = torch.stack([batch.mean(0) for batch in BATCHES]).mean(0)
    var = torch.stack([batch.var(0) for batch in BATCHES]).mean(0)
    torch.testing.assert_close(model.norm.running_mean, mean)
    torch.testing.assert_close(model.norm.running_var, var)
    for number, (x, y, statistics) in enumerate(model.seen):
        if number < 6:  # two epochs with the statistics of each batch
            expected = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
        else:
            expected = (x - mean) / (var + 1e-5).sqrt()
            torch.testing.assert_close(statistics, mean)
        torch.testing.assert_close(y, expected)
    assert not model.fixed.running_mean.any()


def test_begin_is_checked():
    with pytest.raises(ValueError, match='begin=0'):
        FreezeNormHook(0)
