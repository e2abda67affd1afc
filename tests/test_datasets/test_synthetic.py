from dataclasses import replace

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, pseudo_collate
from torch.utils.data import DataLoader

from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.datasets.synthetic import layout_scene, render_scene
from mmcrowd.datasets.synthetic.painter import PeoplePainter
from mmcrowd.datasets.synthetic.scene import NUM_LOOKS
from mmcrowd.registry import DATASETS

PIPELINE = [dict(type='mmcrowd.LoadCrowdImage'), dict(type='mmcrowd.PackCrowdInputs')]
SIZE = (384, 288)


@pytest.fixture(scope='module')
def scenes():
    return [layout_scene((0, 0, k), SIZE, 500) for k in range(200)]


def crowded(scenes):
    return next(s for s in scenes if 100 < len(s.points) < 200)


def same(a: dict, b: dict) -> bool:
    keys = ('img', 'points', 'boxes')
    return a['img_id'] == b['img_id'] and all(np.array_equal(a[k], b[k]) for k in keys)


def test_a_file_of_the_current_folder_is_not_taken_for_a_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'annotations.json').write_text('{"data_list": []}')
    assert len(SyntheticCrowdDataset(num_images=2, img_size=(64, 64))) == 2


def test_image_k_is_the_same_in_every_instance_order_and_subset():
    dataset = SyntheticCrowdDataset(num_images=6)
    images = [dataset.get_data_info(k) for k in range(6)]
    again = SyntheticCrowdDataset(num_images=9)
    assert all(same(again.get_data_info(k), images[k]) for k in (5, 0, 3))
    chosen = SyntheticCrowdDataset(num_images=6, indices=[4, 1])
    assert len(chosen) == 2
    assert same(chosen.get_data_info(0), images[4]) and same(chosen.get_data_info(1), images[1])
    assert same(again.get_subset([2]).get_data_info(0), images[2])


def test_a_subset_has_the_transforms_of_its_dataset(monkeypatch):
    """Also where MMEngine's copies of other datasets, long gone, had their addresses."""
    dataset = SyntheticCrowdDataset(num_images=2, img_size=(64, 48), pipeline=PIPELINE)
    memo = BaseDataset._copy_without_annotation.__defaults__[0]
    for transform in dataset.pipeline.transforms:
        monkeypatch.setitem(memo, id(transform), 'gone')
    subset = dataset.get_subset(1)
    for copied, transform in zip(
        subset.pipeline.transforms, dataset.pipeline.transforms, strict=True
    ):
        assert type(copied) is type(transform)
    assert subset[0]['data_samples'].img_id == 'train_00000'


def test_two_loader_workers_give_the_same_images():
    dataset = SyntheticCrowdDataset(num_images=6, split='test', pipeline=PIPELINE)
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=pseudo_collate)
    inputs, samples = [], []
    for batch in loader:
        inputs += batch['inputs']
        samples += batch['data_samples']
    assert [s.img_id for s in samples] == [f'test_{k:05d}' for k in range(6)]
    for k, (img, sample) in enumerate(zip(inputs, samples, strict=True)):
        info = dataset.get_data_info(k)
        assert np.array_equal(img.numpy().transpose(1, 2, 0), info['img'])
        assert np.array_equal(sample.gt_instances.points.numpy(), info['points'])
        assert np.array_equal(sample.gt_instances.boxes.numpy(), info['boxes'])
        assert sample.ori_shape == (288, 384)


def test_splits_and_seeds_are_different_images():
    images = []
    for split, seed in [('train', 0), ('val', 0), ('test', 0), ('train', 1)]:
        dataset = SyntheticCrowdDataset(num_images=3, split=split, seed=seed)
        images += [dataset.get_data_info(k)['img'] for k in range(3)]
    assert len({image.tobytes() for image in images}) == len(images)


def test_entry():
    dataset = SyntheticCrowdDataset(num_images=13, seed=5, img_size=(200, 150))
    info = dataset.get_data_info(12)
    assert info['img_id'] == 'train_00012' and info['img_path'] == 'synthetic/train_00012'
    assert info['img'].shape == (150, 200, 3) and info['img'].dtype == np.uint8
    assert info['points'].dtype == np.float32 and info['boxes'].shape == (len(info['points']), 4)
    assert info['attributes']['scene_seed'] == (5, 0, 12)
    y, (top, bottom) = info['points'][:, 1], info['boxes'][:, [1, 3]].T
    whole = (top > -0.5) & (bottom < 149.5)
    assert whole.any()
    heights = info['attributes']['head_slope'] * (y - info['attributes']['horizon'])
    np.testing.assert_allclose((bottom - top)[whole], heights[whole], atol=1e-3)


@pytest.mark.parametrize('size', [(384, 288), (32, 32), (300, 40), (40, 300), (640, 480)])
def test_points_and_boxes_stay_inside_the_image(size):
    for k in range(20):
        scene = layout_scene((1, 0, k), size, 500)
        assert scene.points.dtype == scene.boxes.dtype == np.float32
        assert ((scene.points >= 0) & (scene.points <= np.array(size) - 1)).all()
        assert (scene.boxes[:, :2] <= scene.points).all()
        assert (scene.boxes[:, 2:] >= scene.points).all()
        assert (scene.boxes >= -0.5).all() and (scene.boxes[:, 2:] <= np.array(size) - 0.5).all()
    assert render_scene(scene).shape == (size[1], size[0], 3)


def test_counts_are_wide_and_skewed(scenes):
    counts = np.array([len(s.points) for s in scenes])
    assert counts.min() == 0 and 350 < counts.max() <= 500
    assert np.median(counts) < 0.6 * counts.mean()
    assert max(len(layout_scene((0, 0, k), SIZE, 20).points) for k in range(50)) <= 20


def test_far_heads_are_smaller_and_denser(scenes):
    far, near = [], []
    for scene in scenes:
        if len(scene.points) < 50:
            continue
        assert (np.diff(scene.head_heights) >= 0).all()  # far to near
        gap = np.linalg.norm(scene.points[:, None] - scene.points, axis=-1)
        gap = np.sort(gap, axis=1)[:, 1]  # to the nearest neighbour
        half = len(gap) // 2
        far.append(np.median(gap[:half]))
        near.append(np.median(gap[half:]))
    assert np.mean(np.array(far) < near) > 0.8


def test_heads_do_not_hide_each_other(scenes):
    points, head = crowded(scenes).points, crowded(scenes).head_heights
    dx, dy = np.moveaxis(points[:, None] - points, -1, 0)
    # The smaller of the two heads, in the ellipse of the documented least distance.
    size = np.minimum(head[:, None], head)
    apart = (dx / 0.9) ** 2 + (dy / 0.62) ** 2 >= size**2 * (1 - 1e-4)
    assert (apart | np.eye(len(points), dtype=bool)).all()


def test_heads_are_drawn_at_the_points_and_nowhere_else(scenes, monkeypatch):
    scene = crowded(scenes)
    scene = replace(scene, looks=np.minimum(scene.looks, 0.59))  # no long hair, no hats
    image = render_scene(scene).astype(int)
    monkeypatch.setattr(PeoplePainter, 'draw_head', lambda self, i: None)
    changed = abs(image - render_scene(scene)).max(axis=-1) > 4

    x, y = np.rint(scene.points).astype(int).T
    assert changed[y, x].mean() > 0.9  # the others have the colour of what is behind them
    # Beyond the boxes there are only necks, and two pixels of blur.
    allowed = np.zeros_like(changed)
    for (x0, y0, x1, y1), height in zip(scene.boxes, scene.head_heights, strict=True):
        x0, y0 = max(0, int(x0) - 2), max(0, int(y0) - 2)
        allowed[y0 : int(y1 + 0.3 * height) + 4, x0 : int(x1) + 4] = True
    assert not (changed & ~allowed).any()


@pytest.mark.parametrize('point', [(100.0, 200.0), (100.5, 200.25), (250.75, 120.5)])
def test_a_single_head_is_centred_on_its_point(point, monkeypatch):
    scene = replace(
        layout_scene((0, 0, 3), SIZE, 10),
        points=np.float32([point]),
        looks=np.full((1, NUM_LOOKS), 0.3, np.float32),  # turned away: all of the head is hair
        props=np.zeros((0, 4), np.float32),
    )
    with_head = render_scene(scene).astype(float)
    monkeypatch.setattr(PeoplePainter, 'draw_head', lambda self, i: None)
    change = abs(with_head - render_scene(scene)).max(axis=-1)
    # Where the change passes half of its usual strength is the outline of the head.
    rows, cols = np.nonzero(change > 0.5 * np.median(change[change > 10]))
    assert (cols.min() + cols.max()) / 2 == pytest.approx(point[0], abs=0.75)
    top = point[1] - scene.head_heights[0] / 2
    assert rows.min() == pytest.approx(top, abs=1.0)


def test_a_person_changes_nothing_far_away(scenes):
    scene = replace(crowded(scenes), props=np.zeros((0, 4), np.float32))
    fewer = replace(scene, points=scene.points[:-1], looks=scene.looks[:-1])
    changed = (render_scene(scene) != render_scene(fewer)).any(axis=-1)
    x, head = scene.points[-1, 0], scene.head_heights[-1]
    columns = np.flatnonzero(changed.any(axis=0))
    assert len(columns) and abs(columns - x).max() < 6 * head + 8


def test_cache_returns_equal_independent_images():
    cached = SyntheticCrowdDataset(num_images=2, cache=True)
    first = cached.get_data_info(1)
    expected = first['img'].copy()
    first['img'][:] = 0
    assert np.array_equal(cached.get_data_info(1)['img'], expected)
    assert np.array_equal(SyntheticCrowdDataset(num_images=2).get_data_info(1)['img'], expected)


def test_built_from_a_config_with_scope():
    config = dict(type='mmcrowd.SyntheticCrowdDataset', num_images=1, split='val')
    assert DATASETS.build(config).metainfo['dataset_name'] == 'Synthetic'


@pytest.mark.parametrize(
    'name, value',
    [
        ('split', 'trainval'),
        ('num_images', 0),
        ('num_images', 2.5),
        ('seed', -1),
        ('max_count', 0),
        ('img_size', 320),
        ('img_size', (320, 16)),
        ('img_size', (320, 240, 3)),
    ],
)
def test_bad_argument(name, value):
    with pytest.raises(ValueError, match=f'{name}=.*expected'):
        SyntheticCrowdDataset(**{name: value})
