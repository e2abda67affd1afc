from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmcrowd.engine.hooks import TrainCountHook
from mmcrowd.structures import CrowdDataSample


class Head(nn.Module):
    def __init__(self, named):
        super().__init__()
        self.named = named

    def forward(self, density):
        return dict(density=density, logits=-density) if self.named else density


@pytest.mark.parametrize(
    'named, count_from, expected',
    [(True, 'density', 6), (True, 'logits', -6), (False, 'density', 6)],
)
def test_mean_counts_of_a_batch(named, count_from, expected):
    hub = MessageHub.get_instance('counts')
    model = SimpleNamespace(head=Head(named), count_from=count_from)
    runner = SimpleNamespace(model=model, message_hub=hub)
    hook = TrainCountHook()
    hook.before_train(runner)
    batch = dict(data_samples=[CrowdDataSample(gt_count=3), CrowdDataSample(gt_count=4)])
    model.head(torch.ones(2, 1, 2, 3))
    hook.after_train_iter(runner, 0, batch)
    model.head.eval()(torch.ones(2, 1, 9, 9))  # a validation
    hook.after_train_iter(runner, 0, batch)
    hook.after_train(runner)
    assert hub.get_scalar('train/pred_count').data[0].tolist() == [expected]
    assert hub.get_scalar('train/gt_count').data[0].tolist() == [3.5]
    assert not model.head._forward_hooks


@pytest.mark.parametrize('model', [nn.Identity(), SimpleNamespace(count_from='points')])
def test_models_without_such_a_sum(model):
    hook = TrainCountHook()
    hook.before_train(SimpleNamespace(model=model))
    hook.after_train_iter(None, 0)
    hook.after_train(None)
