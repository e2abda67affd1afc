import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmcrowd.analysis.overfitting import _predict, overfit
from mmcrowd.datasets.sample_seed import SeededSamples
from mmcrowd.engine.optim_wrappers import OptimWrapper
from mmcrowd.registry import DATASETS
from mmcrowd.structures.frame import to_original_frame


@pytest.fixture
def cfg():
    """A small counter of drawn crowds, in crops that are resized and turned over."""
    init_default_scope('mmcrowd')
    return ConfigDict(
        model=dict(
            type='DensityCounter',
            data_preprocessor=dict(
                type='CrowdDataPreprocessor', to_gray=True, std=[50.0], mean=[100.0]
            ),
            backbone=dict(type='MCNN'),
            head=dict(
                type='DensityHead', in_channels=30, mid_channels=(8,), in_stride=4, out_stride=4
            ),
            loss=dict(type='PMLLoss'),
            localizer=dict(type='LocalMaximum', threshold=0.1),
        ),
        train_dataloader=dict(
            dataset=dict(
                type='SyntheticCrowdDataset',
                num_images=6,
                img_size=(96, 64),
                split='train',
                pipeline=[
                    dict(type='LoadCrowdImage'),
                    dict(type='RandomScaleCrop', crop_size=48, scale_range=(0.8, 1.25)),
                    dict(type='RandomFlip'),
                    dict(type='PackCrowdInputs'),
                ],
            )
        ),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3)),
    )


def test_a_counter_learns_its_crops(cfg):
    row = overfit(cfg, num_crops=4, num_steps=60, batch_size=2)
    samples = SeededSamples(DATASETS.build(cfg.train_dataloader.dataset), 0)(range(4))
    true = np.array([len(sample['data_samples'].gt_instances.points) for sample in samples])
    assert row.mean_mae == pytest.approx(np.abs(true - true.mean()).mean())
    assert row.mae < row.mean_mae / 2
    assert row.loss[1] < row.loss[0] / 2
    assert 0 < row.f1 < 1


class Perfect(torch.nn.Module):
    """A counter that finds each head, and one person more in the corner."""

    def test_step(self, data):
        for sample in data['data_samples']:
            points = to_original_frame(sample.gt_instances.points, sample.metainfo)
            sample.pred_instances = InstanceData(points=torch.cat([points, points.new_zeros(1, 2)]))
            sample.pred_count = len(points) + 1.0
        return data['data_samples']


def test_points_are_compared_in_the_frame_of_the_crops(cfg):
    samples = SeededSamples(DATASETS.build(cfg.train_dataloader.dataset), 0)(range(4))
    true = [len(sample['data_samples'].gt_instances.points) for sample in samples]
    counts, f1 = _predict(Perfect(), [samples[:2], samples[2:]], radius=1e-3)
    assert counts.tolist() == [n + 1 for n in true]
    assert f1 == pytest.approx(2 * sum(true) / (2 * sum(true) + 4))


def test_no_step_is_no_learning(cfg):
    """The first loss is that of the weights at the start, and a rate of nothing keeps it."""
    cfg.optim_wrapper.optimizer.lr = 0
    row = overfit(cfg, num_crops=2, num_steps=3, batch_size=2)
    assert row.loss[0] == pytest.approx(row.loss[1], rel=1e-6)
    without = copy.deepcopy(cfg)
    without.model.localizer = None
    assert overfit(without, num_crops=2, num_steps=1, batch_size=2).f1 is None


def test_the_rate_falls_in_the_last_quarter(cfg, monkeypatch):
    rates = []
    update = OptimWrapper.update_params

    def watched(self, *args, **kwargs):
        rates.append(self.param_groups[0]['lr'])
        return update(self, *args, **kwargs)

    monkeypatch.setattr(OptimWrapper, 'update_params', watched)
    overfit(cfg, num_crops=2, num_steps=4, batch_size=2)
    assert rates == pytest.approx([2e-3, 2e-3, 2e-3, 2e-4])


def test_losses_see_the_epoch_of_their_step(cfg, monkeypatch):
    seen = []
    hub = MessageHub.get_current_instance()
    update = OptimWrapper.update_params

    def watched(self, *args, **kwargs):
        seen.append(MessageHub.get_current_instance().get_info('epoch'))
        return update(self, *args, **kwargs)

    monkeypatch.setattr(OptimWrapper, 'update_params', watched)
    hub.update_info('epoch', 7)
    try:
        overfit(cfg, num_crops=2, num_steps=5, batch_size=2, epochs=3)
        assert hub.get_info('epoch') == 7
    finally:
        MessageHub._instance_dict.clear()
    assert seen == [0, 0, 1, 1, 2]
    seen.clear()
    overfit(cfg, num_crops=2, num_steps=2, batch_size=2)
    assert seen == [0, 0]


def test_crops_with_enough_heads(cfg):
    """The error of the mean is that of the crops that hold as many."""
    samples = SeededSamples(DATASETS.build(cfg.train_dataloader.dataset), 0)(range(6))
    heads = [len(sample['data_samples'].gt_instances.points) for sample in samples]
    least = sorted(heads)[2]
    true = np.array([number for number in heads if number >= least][:2])
    assert true.tolist() != heads[:2] and true[0] != true[1]
    row = overfit(cfg, num_crops=2, num_steps=1, batch_size=2, min_heads=least)
    assert row.mean_mae == pytest.approx(np.abs(true - true.mean()).mean())


def test_what_cannot_be_asked(cfg):
    with pytest.raises(ValueError, match='batch_size 3 does not divide the 4 crops'):
        overfit(cfg, num_crops=4, batch_size=3)
    with pytest.raises(ValueError, match='8 crops with 0 heads .* but of 6 samples 6 are'):
        overfit(cfg, num_crops=8, batch_size=2)
    with pytest.raises(ValueError, match='2 crops with 999 heads .* but of 6 samples 0 are'):
        overfit(cfg, num_crops=2, batch_size=2, min_heads=999)
    with pytest.raises(ValueError, match='3 epochs, expected 1 to 2'):
        overfit(cfg, num_crops=2, num_steps=2, batch_size=2, epochs=3)
    with pytest.raises(ValueError, match=r'each of the 1 crops holds \d+ people'):
        overfit(cfg, num_crops=1, batch_size=1)
