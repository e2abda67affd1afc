import time

import numpy as np
import pytest
from mmengine.dataset import RepeatDataset

from mmcrowd.analysis.benchmarks.loader_profile import (
    COLLATE,
    HAND_OVER,
    PREPROCESS,
    profile_loader,
    worker_rate,
)
from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.datasets.transforms import PackCrowdInputs


class Burn:
    """Takes processor time, and draws a number as transforms do."""

    def __init__(self, milliseconds: float):
        self.seconds = milliseconds / 1e3
        self.drawn: list[float] = []

    def __call__(self, results: dict) -> dict:
        self.drawn.append(np.random.random())
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
        return results


def make_dataset(burn, **kwargs):
    pipeline = [dict(type=lambda: burn), dict(type=PackCrowdInputs)]
    return SyntheticCrowdDataset(
        num_images=4, img_size=(32, 32), pipeline=pipeline, cache=True, **kwargs
    )


def test_time_is_put_down_to_its_step():
    """The steps, in their order; neither lost nor counted twice."""
    burn = Burn(20)
    dataset = RepeatDataset(make_dataset(burn, partition_stride=8), times=2)
    pipeline = dataset.dataset.pipeline
    seen = []
    steps = profile_loader(dataset, seen.append, batch_size=2, num_batches=5)
    assert list(steps) == [
        'SyntheticCrowdDataset',
        'Burn',
        'PartitionByNearestPoint',
        'PackCrowdInputs',
        COLLATE,
        HAND_OVER,
        PREPROCESS,
    ]
    assert steps['Burn'] == pytest.approx(20, abs=3)
    assert steps['SyntheticCrowdDataset'] + steps['PartitionByNearestPoint'] < 10
    # Five batches of the eight entries, each loaded once before.
    assert len(seen) == 5 and all(len(batch['inputs']) == 2 for batch in seen)
    assert len(burn.drawn) == 20 and burn.drawn[:10] == burn.drawn[10:]
    assert dataset.dataset.pipeline is pipeline


def test_the_pipeline_comes_back_after_an_error():
    dataset = make_dataset(Burn(0))
    pipeline = dataset.pipeline

    def fail(batch):
        raise RuntimeError('no network')

    with pytest.raises(RuntimeError, match='no network'):
        profile_loader(dataset, fail, batch_size=1, num_batches=1)
    assert dataset.pipeline is pipeline


@pytest.mark.parametrize('numbers', [(0, 1), (1, 0)])
def test_nothing_to_profile(numbers):
    with pytest.raises(ValueError, match='expected at least 1 of each'):
        profile_loader(make_dataset(Burn(0)), lambda batch: None, *numbers)
    with pytest.raises(ValueError, match='from a data set of 0 images'):
        profile_loader([], lambda batch: None, 1, 1)


def test_the_trainer_is_no_worker():
    assert worker_rate({'LoadCrowdImage': 6.0, COLLATE: 4.0, PREPROCESS: 90.0}) == 100
