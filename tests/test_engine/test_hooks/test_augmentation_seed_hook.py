from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmcrowd.engine.hooks import AugmentationSeedHook
from mmcrowd.registry import DATASETS

NUM_IMAGES = 4
DATASET = dict(
    type='SyntheticCrowdDataset',
    num_images=NUM_IMAGES,
    img_size=(96, 64),
    pipeline=[
        dict(type='LoadCrowdImage'),
        dict(type='RandomScaleCrop', crop_size=32),
        dict(type='RandomFlip'),
        dict(type='PackCrowdInputs'),
    ],
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmcrowd')


def train(dataset, epochs, num_workers=0, seed=0, loop=EpochBasedTrainLoop, **loader):
    """Images of MMEngine's loader in a run through these epochs: (epochs, samples, 3, 32, 32)."""
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset,
            **loader,
        ),
        seed=seed,
    )
    runner = SimpleNamespace(
        train_loop=loop.__new__(loop), train_dataloader=loader, seed=seed, epoch=0
    )
    hook = AugmentationSeedHook()
    hook.before_train(runner)
    seen = []
    for runner.epoch in epochs:
        hook.before_train_epoch(runner)
        seen.append(torch.stack([img for batch in loader for img in batch['inputs']]))
        hook.after_train_epoch(runner)
    hook.after_train(runner)
    assert not hasattr(loader.dataset, '__getitems__')
    return torch.stack(seen)


def number_of_different(images):
    return len(images.flatten(-3).flatten(0, -2).unique(dim=0))


WRAPPED = {
    'plain': DATASET,
    'repeat': dict(type='RepeatDataset', times=3, dataset=DATASET),
    'concat': dict(type='ConcatDataset', datasets=[DATASET, DATASET]),
}


@pytest.mark.parametrize('wrapped', WRAPPED)
def test_samples_depend_on_seed_epoch_and_place_only(wrapped):
    dataset = WRAPPED[wrapped]
    first = train(dataset, range(3))
    assert number_of_different(first) == 3 * len(first[0])
    for num_workers in (0, 1, 4):
        assert torch.equal(train(dataset, range(3), num_workers), first)
        # Resumed after the first epoch.
        assert torch.equal(train(dataset, [1, 2], num_workers), first[1:])
    assert not torch.equal(train(dataset, range(3), seed=1), first)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_a_dataset_given_as_object(num_workers):
    dataset = DATASETS.build(DATASET)
    expected = train(DATASET, range(3))
    # The runner makes a copy of it.
    assert torch.equal(train(dataset, range(3), num_workers), expected)
    part = train(dataset.get_subset(2), range(3), num_workers)
    assert torch.equal(part, expected[:, :2])


def test_a_part_of_the_batches():
    part = train(DATASET, range(2), num_batch_per_epoch=1)
    assert torch.equal(part, train(DATASET, range(2))[:, :2])


def test_training_by_iterations_is_left_alone():
    images = train(DATASET, [0, 0], loop=IterBasedTrainLoop)
    assert not torch.equal(images[0], images[1])
