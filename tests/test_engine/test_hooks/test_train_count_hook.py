from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch import nn

from mmcrowd.engine.hooks import TrainCountHook
from mmcrowd.structures import CrowdDataSample
from tests.testing.runs import TINY_CONFIG


class Head(nn.Module):
    def forward(self, density):
        return density


class Counter(nn.Module):
    """Gives the counts of its density, or none."""

    def __init__(self, counts=True):
        super().__init__()
        self.head = Head()
        self.counts = counts

    def batch_counts(self, results):
        return results.sum((1, 2, 3)) if self.counts else None


BATCH = dict(data_samples=[CrowdDataSample(gt_count=3), CrowdDataSample(gt_count=4)])


def scalars(hub):
    names = {name: f'train/{name}' for name in ('pred_count', 'gt_count')}
    return {
        name: hub.get_scalar(key).data[0].tolist()
        for name, key in names.items()
        if key in hub.log_scalars
    }


@pytest.fixture
def hub(request):
    return MessageHub(request.node.name)


def test_mean_counts_of_a_batch(hub):
    model = Counter()
    runner = SimpleNamespace(model=model, message_hub=hub)
    hook = TrainCountHook()
    hook.before_train(runner)
    model.head(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 2, 3))
    hook.after_train_iter(runner, 0, BATCH)
    assert scalars(hub) == dict(pred_count=[9], gt_count=[3.5])
    # A validation, and a step whose head was not asked.
    model.head.eval()(torch.ones(2, 1, 9, 9))
    hook.after_train_iter(runner, 0, BATCH)
    assert scalars(hub) == dict(pred_count=[9], gt_count=[3.5, 3.5])
    hook.after_train(runner)
    assert not model.head._forward_hooks


@pytest.mark.parametrize('model', [nn.Identity(), Counter(counts=False)])
def test_the_true_count_of_models_that_give_none(hub, model):
    runner = SimpleNamespace(model=model, message_hub=hub)
    hook = TrainCountHook()
    hook.before_train(runner)
    getattr(model, 'head', model)(torch.ones(2, 1, 2, 3))
    hook.after_train_iter(runner, 0, BATCH)
    hook.after_train(runner)
    assert scalars(hub) == dict(gt_count=[3.5])


@pytest.mark.parametrize('batch', [None, [1], dict(inputs=[1]), dict(data_samples=[{}])])
def test_batches_without_true_counts(hub, batch):
    runner = SimpleNamespace(model=nn.Identity(), message_hub=hub)
    TrainCountHook().after_train_iter(runner, 0, batch)
    assert scalars(hub) == {}


POINTS = """
optim_wrapper.update(optimizer=dict(type='SGD', lr=0.0))
model.update(
    type='PointCounter',
    head=dict(type='PointHead', in_channels=128, mid_channels=(8,), in_stride=2),
    loss=dict(type='P2PLoss'),
    localizer=dict(type='ProposalThreshold', score_threshold={}),
)
"""


@pytest.mark.parametrize('threshold, number', [(0.0, 32 * 32), (1.0, 0)])
def test_proposals_in_a_training(tmp_path, threshold, number):
    """Four points in each of 16 x 16 cells, all of them or none above the threshold."""
    path = tmp_path / 'config.py'
    path.write_text(TINY_CONFIG + POINTS.format(threshold), encoding='utf-8')
    cfg = Config.fromfile(path)
    cfg.default_hooks.train_count = dict(type='TrainCountHook')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    runner = Runner.from_cfg(cfg)
    runner.train()
    dataset = runner.train_dataloader.dataset
    true = [dataset[i]['data_samples'].gt_count for i in range(len(dataset))]
    assert scalars(runner.message_hub)['pred_count'] == [number] * 2
    assert sum(scalars(runner.message_hub)['gt_count']) == sum(true) / 2
