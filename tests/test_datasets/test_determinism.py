"""The same seed gives the same samples: files, lazy loading and MMEngine's own loader."""

import json

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmcrowd.datasets import CrowdDataset, SeededSamples

NUM_IMAGES = 10


@pytest.fixture
def data_folder(tmp_path):
    rng = np.random.default_rng(0)
    entries = []
    for k in range(NUM_IMAGES):
        height, width = rng.integers(120, 260, 2)
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'{k}.jpg')
        points = rng.uniform(0, (width - 1, height - 1), (20, 2)).tolist()
        entries.append(dict(img_path=f'{k}.jpg', points=points, split='train'))
    entries.append(dict(img_path='0.jpg', img_id='val', points=[], split='val'))
    (tmp_path / 'annotations.json').write_text(json.dumps(dict(data_list=entries)))
    return tmp_path


@pytest.fixture
def run(data_folder):
    """Function that gives what epochs of a run see: id, crop, points and flip of each sample."""
    init_default_scope('mmcrowd')

    def collect(epochs, num_workers=0, seed=7, lazy=True):
        pipeline = [
            dict(type='LoadCrowdImage', lazy=lazy),
            dict(type='ResizeToLimits', longest=140),
            dict(type='RandomScaleCrop', crop_size=32),
            dict(type='RandomFlip'),
            dict(type='PhotoMetricDistortion'),
            dict(type='PartitionByNearestPoint', stride=2),
            dict(type='PackCrowdInputs'),
        ]
        loader = Runner.build_dataloader(
            dict(
                batch_size=3,
                num_workers=num_workers,
                persistent_workers=num_workers > 0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(
                    type=CrowdDataset, data_root=str(data_folder), cache=False, pipeline=pipeline
                ),
            ),
            seed=seed,
        )
        seen = []
        samples = SeededSamples(loader.dataset, seed)
        samples.attach()
        for epoch in epochs:
            # What MMEngine's loop and AugmentationSeedHook do before each epoch.
            loader.sampler.set_epoch(epoch)
            samples.set_epoch(epoch)
            for batch in loader:
                for inputs, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
                    points = sample.gt_instances.points
                    seen.append((sample.img_id, sample.flip, inputs, points))
        assert len(seen) == NUM_IMAGES * len(epochs)
        return seen

    return collect


def same(first, second):
    return len(first) == len(second) and all(
        a[:2] == b[:2] and torch.equal(a[2], b[2]) and torch.equal(a[3], b[3])
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize('lazy', [False, True])
def test_number_of_workers_does_not_matter(run, lazy):
    first = run([0, 1], lazy=lazy)
    np.random.seed(99)
    torch.manual_seed(99)
    for num_workers in (0, 1, 4):
        assert same(run([0, 1], num_workers, lazy=lazy), first)
    assert not same(run([0, 1], seed=8, lazy=lazy), first)
    assert not same(first[:NUM_IMAGES], first[NUM_IMAGES:])


@pytest.mark.parametrize('num_workers', [0, 4])
def test_resumed_run_sees_what_the_whole_one_saw(run, num_workers):
    whole = run([0, 1, 2])
    assert same(run([2], num_workers), whole[2 * NUM_IMAGES :])
