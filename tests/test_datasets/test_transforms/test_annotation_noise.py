import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmcrowd.datasets import CrowdDataset, SeededSamples
from mmcrowd.datasets.transforms import (
    AnnotationNoise,
    LoadCrowdImage,
    Pad,
    PartitionByNearestPoint,
    RandomFlip,
    RandomScaleCrop,
    ResizeToLimits,
)
from mmcrowd.structures import to_original_frame

SEEDS = st.integers(0, 2**31)


def load(points, height, width, img_id='1', **others):
    """Results of LoadCrowdImage, with an image that takes no memory."""
    img = np.broadcast_to(np.uint8(0), (height, width, 3))
    points = np.asarray(points, np.float32)
    return LoadCrowdImage()(dict(img=img, img_id=img_id, points=points, **others))


def moves(noise, number=4000, height=400, width=500, img_id='1'):
    """How far the noise moves points that are far from the border."""
    points = np.full((number, 2), 200, np.float32)
    return noise(load(points, height, width, img_id))['points'].astype(float) - 200


@given(st.floats(0.001, 0.4), st.integers(400, 900), SEEDS)
@settings(deadline=None, max_examples=30)
def test_uniform_noise_is_a_share_of_the_height(share, height, seed):
    bound = min(share, 190 / height) * height
    moved = np.abs(moves(AnnotationNoise(uniform=bound / height, seed=seed), height=height))
    assert moved.max() <= bound + 1e-4 and (moved.max(0) > 0.98 * bound).all()
    # Six standard deviations of the mean of 4000.
    np.testing.assert_allclose(moved.mean(0), bound / 2, atol=6 * bound / np.sqrt(12 * 4000))


@given(st.floats(0.1, 190), SEEDS)
@settings(deadline=None, max_examples=30)
def test_disc_noise_is_uniform_in_the_disc(radius, seed):
    moved = moves(AnnotationNoise(disc=radius, seed=seed))
    distance = np.linalg.norm(moved, axis=1)
    assert 0.98 * radius < distance.max() <= radius + 1e-4
    np.testing.assert_allclose(
        distance.mean(), 2 / 3 * radius, atol=6 * radius / np.sqrt(18 * 4000)
    )
    # A coordinate has the mean 0 and the variance radius^2 / 4.
    np.testing.assert_allclose(moved.mean(0), 0, atol=6 * radius / np.sqrt(4 * 4000))


@given(
    st.lists(st.tuples(st.floats(-0.5, 29.4), st.floats(-0.5, 19.4)), max_size=20),
    st.sampled_from([dict(uniform=0.0), dict(uniform=0.3), dict(uniform=9.0), dict(disc=5.0)]),
    SEEDS,
)
@settings(deadline=None, max_examples=40)
def test_points_stay_in_the_image_and_their_boxes_with_them(points, options, seed):
    points = np.float32(points).reshape(-1, 2)
    results = load(points, 20, 30, boxes=np.tile(points, 2), sigmas=np.ones_like(points))
    out = AnnotationNoise(**options, seed=seed)(results)
    moved = out['points']
    assert moved.shape == points.shape and moved.dtype == np.float32
    assert (moved >= -0.5).all() and (moved < (29.5, 19.5)).all()
    bound = 20 * options.get('uniform', 0) or options.get('disc', 0)
    assert (np.abs(moved - points) <= bound + 1e-4).all()
    np.testing.assert_array_equal(out['boxes'], np.tile(moved, 2))
    np.testing.assert_array_equal(out['sigmas'], 1)
    np.testing.assert_allclose(out['gt_original']['points'], points, atol=1e-6)


def test_what_the_noise_depends_on():
    first = moves(AnnotationNoise(disc=4))
    np.testing.assert_array_equal(moves(AnnotationNoise(disc=4)), first)
    np.testing.assert_allclose(moves(AnnotationNoise(disc=8)), 2 * first, atol=1e-4)
    for other in (
        moves(AnnotationNoise(disc=4, seed=1)),
        moves(AnnotationNoise(disc=4), img_id='2'),
    ):
        assert (other != first).any(1).mean() > 0.99
        assert abs(np.corrcoef(other.ravel(), first.ravel())[0, 1]) < 0.1


def test_a_prepared_copy_has_the_noise_of_the_image_as_downloaded():
    points = np.float32([[100, 300], [700, 50]])
    resize, noise = ResizeToLimits(longest=400), AnnotationNoise(disc=5)
    original = noise(resize(load(points, 600, 800)))
    copy = noise(resize(load((points + 0.5) / 2 - 0.5, 300, 400, ori_shape=(600, 800))))
    np.testing.assert_allclose(copy['points'], original['points'], atol=1e-4)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    entries = []
    for k, (height, width) in enumerate(rng.integers(150, 300, (5, 2))):
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(tmp_path / f'{k}.jpg')
        points = rng.uniform(0, (width - 1, height - 1), (30, 2)).tolist()
        entries.append(dict(img_path=f'{k}.jpg', points=points, split='train'))
    (tmp_path / 'annotations.json').write_text(json.dumps(dict(data_list=entries)))
    return tmp_path


@pytest.mark.parametrize('num_workers', [0, 2])
def test_every_epoch_and_worker_sees_the_same_noise(folder, num_workers):
    """The crops differ, but not where their points are in the images, which lazily are decoded."""
    init_default_scope('mmcrowd')
    load, noise = LoadCrowdImage(lazy=True), AnnotationNoise(uniform=0.05)
    dataset = CrowdDataset(data_root=str(folder), cache=False, pipeline=[load, noise])
    wanted = {info['img_id']: info['points'] for info in dataset}
    pipeline = [
        load,
        noise,
        ResizeToLimits(longest=200),
        RandomScaleCrop(crop_size=64),
        RandomFlip(),
        dict(type='PackCrowdInputs'),
    ]
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=num_workers,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=CrowdDataset(data_root=str(folder), cache=False, pipeline=pipeline),
        )
    )
    seeded, crops, seen = SeededSamples(loader.dataset, 3), set(), 0
    seeded.attach()
    for epoch in (0, 1):
        seeded.set_epoch(epoch)
        for batch in loader:
            for sample in batch['data_samples']:
                back = to_original_frame(sample.gt_instances.points.numpy(), sample.metainfo)
                away = np.linalg.norm(back[:, None] - wanted[sample.img_id], axis=2).min(1)
                assert (away < 0.01).all()
                crops.add(sample.crop_offset)
                seen += len(back)
    assert len(crops) == 10 and seen > 20


def test_truth_of_a_test_pipeline_is_not_moved(folder):
    init_default_scope('mmcrowd')
    samples = [
        CrowdDataset(
            data_root=str(folder),
            cache=False,
            pipeline=[LoadCrowdImage(), *noise, dict(type='PackCrowdInputs')],
        )[0]['data_samples']
        for noise in ([], [AnnotationNoise(disc=8)])
    ]
    clean, noisy = samples
    assert (noisy.gt_instances.points != clean.gt_instances.points).any()
    np.testing.assert_array_equal(noisy.gt_original.points, clean.gt_original.points)
    assert noisy.gt_count == clean.gt_count == 30


def test_unlabelled_image_passes():
    results = LoadCrowdImage()(dict(img=np.zeros((4, 6, 3), np.uint8)))
    assert 'points' not in AnnotationNoise(disc=8)(results)


@pytest.mark.parametrize(
    'before',
    [RandomScaleCrop(32, (1, 1)), RandomFlip(1.0), Pad(64), PartitionByNearestPoint(2)],
    ids=lambda transform: type(transform).__name__,
)
def test_it_has_its_place(before):
    results = load([[5, 5]], 40, 50)
    results['img'] = results['img'].copy()
    np.random.seed(0)
    with pytest.raises(ValueError, match=r'AnnotationNoise \(None\) must come before crops'):
        AnnotationNoise(disc=1)(before(results))


def test_what_it_needs():
    results = load([[5, 5]], 40, 50)
    for key, message in (('img_id', 'has no img_id'), ('gt_original', 'after LoadCrowdImage')):
        missing = {name: value for name, value in results.items() if name != key}
        with pytest.raises(ValueError, match=message):
            AnnotationNoise(disc=1)(missing)
    for options in (dict(uniform=-0.1), dict(disc=float('nan')), dict(seed=-1)):
        with pytest.raises(ValueError, match='expected none of them negative'):
            AnnotationNoise(**options)
    with pytest.raises(ValueError, match=r'uniform=0.1, disc=2, seed=0, expected one kind'):
        AnnotationNoise(uniform=0.1, disc=2)
