"""What a loader gives depends on seed, epoch and place, whatever stands around the dataset."""

import copy
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from torch.utils.data import DataLoader, Subset

from mmcrowd.datasets import SeededSamples


class Draws(BaseDataset):
    """The index that was asked for, and what three generators draw."""

    def load_data_list(self):
        return [{} for _ in range(4)]

    def prepare_data(self, idx):
        return idx, random.random(), np.random.rand(), torch.rand(()).item()

    def get_cat_ids(self, idx):
        return [idx > 0]


def seen(dataset, epochs=(0,), num_workers=0, seed=3):
    """Samples of a loader, as AugmentationSeedHook sets it up."""
    loader = DataLoader(
        dataset,
        batch_size=3,
        num_workers=num_workers,
        collate_fn=list,
        persistent_workers=num_workers > 0,
    )
    samples = SeededSamples(dataset, seed)
    samples.attach()
    result = []
    for epoch in epochs:
        samples.set_epoch(epoch)
        result += [sample for batch in loader for sample in batch]
    samples.detach()
    return result


WRAPPERS = {
    'repeat': lambda: RepeatDataset(Draws(), 3),
    'concat': lambda: ConcatDataset([Draws(), Draws()]),
    'balanced': lambda: ClassBalancedDataset(Draws(), oversample_thr=1.0),
    'subset': lambda: Subset(Draws(), [2, 2, 1, 3]),
    'part': lambda: Draws().get_subset(3),
}


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_place_decides(wrapper):
    def draws(*args):
        return [values for _, *values in seen(WRAPPERS[wrapper](), *args)]

    first = draws((0, 1))
    for values in zip(*first, strict=True):
        assert len(set(values)) == len(first)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    for num_workers in (0, 1, 4):
        assert draws((0, 1), num_workers) == first
    assert draws((1,), 1) == first[len(first) // 2 :]
    assert draws((0,), 0, 4) != first[: len(first) // 2]
    # The image at the place does not matter.
    plain = [values for _, *values in seen(Draws())]
    assert first[:3] == plain[:3]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_copies_of_a_dataset_go_on_from_epoch_to_epoch(num_workers):
    dataset = Draws()
    first = seen(dataset, (0, 1, 2), num_workers)
    assert len(set(first)) == 12
    SeededSamples(dataset, 3).attach()
    assert seen(copy.deepcopy(dataset), (0, 1, 2), num_workers) == first


def test_a_copy_of_an_attached_dataset_has_its_own_epoch():
    dataset = Draws()
    samples = SeededSamples(dataset, 3)
    samples.attach()
    samples.set_epoch(1)
    twin = copy.deepcopy(dataset)
    assert twin.__getitems__.dataset is twin
    twin.__getitems__.set_epoch(2)
    assert dataset.__getitems__([0]) == [seen(Draws(), (1,))[0]]
    assert twin.__getitems__([0]) == [seen(Draws(), (2,))[0]]


def generators():
    return random.random(), np.random.rand(), torch.rand(()).item()


def seed_generators():
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)


def test_generators_of_the_process_are_left_alone():
    seed_generators()
    expected = generators()
    seed_generators()
    SeededSamples(Draws(), 3)([2, 0])
    assert generators() == expected


def test_generators_are_left_alone_after_an_error_too():
    seed_generators()
    expected = generators()
    seed_generators()
    with pytest.raises(IndexError):
        SeededSamples([], 0)([0])
    assert generators() == expected


def test_detached_the_dataset_is_as_before():
    dataset = Draws()
    samples = SeededSamples(dataset, 0)
    samples.attach()
    assert dataset.__getitems__ is samples
    samples.detach()
    samples.detach()
    assert not hasattr(dataset, '__getitems__')
