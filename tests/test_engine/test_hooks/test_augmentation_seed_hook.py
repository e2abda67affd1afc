from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.engine.hooks import AugmentationSeedHook


@pytest.fixture
def dataset():
    init_default_scope('mmcrowd')
    pipeline = [
        dict(type='LoadCrowdImage'),
        dict(type='RandomScaleCrop', crop_size=32),
        dict(type='RandomHorizontalFlip'),
        dict(type='PackCrowdInputs'),
    ]
    return SyntheticCrowdDataset(num_images=6, img_size=(96, 64), pipeline=pipeline)


def start_epoch(dataset, epoch, seed=0):
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    runner = SimpleNamespace(
        train_loop=loop,
        train_dataloader=SimpleNamespace(dataset=dataset),
        seed=seed,
        epoch=epoch,
    )
    AugmentationSeedHook().before_train_epoch(runner)


def images(dataset, num_workers=0):
    loader = DataLoader(dataset, batch_size=None, num_workers=num_workers)
    return torch.stack([sample['inputs'] for sample in loader])


def test_samples_depend_on_seed_epoch_and_index_only(dataset):
    start_epoch(dataset, 3)
    first = images(dataset)
    np.random.seed(5)
    for num_workers in (0, 1, 2):
        assert torch.equal(images(dataset, num_workers), first)
    assert torch.equal(dataset[4]['inputs'], first[4])
    start_epoch(dataset, 4)
    assert not torch.equal(images(dataset), first)
    start_epoch(dataset, 3, seed=1)
    assert not torch.equal(images(dataset), first)


def test_running_workers_notice_the_epoch(dataset):
    loader = DataLoader(dataset, batch_size=None, num_workers=1, persistent_workers=True)
    for epoch in (0, 1):
        start_epoch(dataset, epoch)
        seen = torch.stack([sample['inputs'] for sample in loader])
        assert torch.equal(seen, images(dataset))


def test_the_generator_of_the_process_is_left_alone(dataset):
    start_epoch(dataset, 0)
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    dataset[0]
    assert np.random.rand() == expected


def test_without_the_hook_draws_go_on(dataset):
    np.random.seed(0)
    assert not torch.equal(images(dataset), images(dataset))


@pytest.mark.parametrize('wrap', [lambda d: RepeatDataset(d, 2), lambda d: ConcatDataset([d])])
def test_wrapped_datasets(dataset, wrap):
    wrapped = wrap(dataset)
    start_epoch(wrapped, 2)
    first = wrapped[1]['inputs']
    assert torch.equal(wrapped[1]['inputs'], first)
    assert torch.equal(dataset[1]['inputs'], first)
