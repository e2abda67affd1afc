import shutil

import numpy as np
import pytest
from mmengine.logging import MMLogger
from scipy.io import savemat

from mmcrowd.datasets import ShanghaiTechDataset
from mmcrowd.datasets.transforms.loading import LoadCrowdImage
from mmcrowd.fileio.images import load_image

from ..testing.benchmarks import make_part, save_truth

COUNTS = {
    ('A', 'trainval'): (300, 162413),
    ('A', 'test'): (182, 78862),
    ('B', 'trainval'): (400, 49151),
    ('B', 'test'): (316, 39121),
}


@pytest.mark.parametrize('part, split', COUNTS)
def test_counts_of_the_benchmark(data_root, part, split):
    dataset = ShanghaiTechDataset(
        data_root=str(data_root / 'ShanghaiTech' / f'part_{part}'), split=split
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert (len(infos), sum(len(info['points']) for info in infos)) == COUNTS[part, split]
    assert len({info['img_id'] for info in infos}) == len(infos)
    assert all(info['points'].dtype == np.float32 for info in infos)
    info = infos[len(infos) // 2]
    height, width = load_image(info['img_path']).shape[:2]
    assert (info['points'] >= -0.5).all() and (info['points'] < (width, height)).all()


def test_known_duplicate_across_the_official_split(data_root):
    part = data_root / 'ShanghaiTech' / 'part_A'
    test, train = (
        part / f'{split}_data' / 'images' / name
        for split, name in (('test', 'IMG_98.jpg'), ('train', 'IMG_121.jpg'))
    )
    assert test.read_bytes() == train.read_bytes()


@pytest.mark.parametrize('truth_folder', ['ground-truth', 'ground_truth'])
def test_splits_divide_the_training_part(tmp_path, truth_folder):
    root = make_part(tmp_path / 'part_B', truth_folder=truth_folder)
    ids = {}
    for split in ('train', 'val', 'trainval', 'test'):
        dataset = ShanghaiTechDataset(data_root=str(root), split=split)
        ids[split] = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    assert ids['val'] == ['IMG_10', 'IMG_20']
    assert ids['trainval'] == [f'IMG_{k}' for k in range(1, 21)]
    assert sorted(ids['train'] + ids['val']) == sorted(ids['trainval'])
    assert len(ids['test']) == 20


def test_points_outside_are_clipped_and_told_once(tmp_path, monkeypatch):
    root = make_part(tmp_path / 'part_A', num_images=2)
    points = [[-0.4, 0], [-3, 5], [39.4, 29.4], [40, 100], [10, 10]]
    save_truth(root / 'test_data/ground-truth/GT_IMG_1.mat', np.array(points))
    told = []
    monkeypatch.setattr(MMLogger.get_instance('t'), 'warning', told.append)
    dataset = ShanghaiTechDataset(data_root=str(root), split='test')
    clipped = [[-0.4, 0], [0, 5], [39.4, 29.4], [39, 29], [10, 10]]
    np.testing.assert_allclose(dataset.get_data_info(0)['points'], clipped, rtol=1e-6)
    assert len(told) == 1 and '2 points in 1 images' in told[0]


def test_wrong_root_tells_the_expected_tree(tmp_path):
    with pytest.raises(FileNotFoundError, match='part_A or part_B'):
        ShanghaiTechDataset(data_root=str(tmp_path))


def test_unknown_split():
    with pytest.raises(ValueError, match="split='tset'"):
        ShanghaiTechDataset(data_root='none', split='tset')


@pytest.mark.parametrize(
    'victim, message',
    [
        ('images/IMG_2.jpg', r"1 annotations without image \['IMG_2'\]"),
        ('ground-truth/GT_IMG_2.mat', r"1 images without annotation \['IMG_2'\]"),
    ],
)
def test_orphans_are_named(tmp_path, victim, message):
    root = make_part(tmp_path / 'part_B')
    (root / 'train_data' / victim).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        ShanghaiTechDataset(data_root=str(root))


def test_empty_split(tmp_path):
    root = make_part(tmp_path / 'part_B', num_images=3)
    with pytest.raises(ValueError, match="no image in split 'val'"):
        ShanghaiTechDataset(data_root=str(root), split='val')


def test_no_people_is_a_valid_annotation(tmp_path):
    root = make_part(tmp_path / 'part_B', num_images=1)
    save_truth(root / 'train_data/ground-truth/GT_IMG_1.mat', np.zeros((0, 2)))
    assert ShanghaiTechDataset(data_root=str(root)).get_data_info(0)['points'].shape == (0, 2)


@pytest.mark.parametrize(
    'write, message',
    [
        (lambda p: savemat(p, dict(points=np.ones((2, 2)))), "no variable 'image_info'"),
        (lambda p: savemat(p, dict(image_info=np.ones((1, 1)))), 'location'),
        (lambda p: p.write_bytes(b'MATLAB 5.0 nothing'), 'not a readable MATLAB'),
        (lambda p: p.write_bytes(b''), 'not a readable MATLAB'),
        (lambda p: save_truth(p, np.array([[1, 2], [3, np.nan]])), 'number 1'),
        (lambda p: save_truth(p, np.array([[1, np.inf]])), 'not finite'),
        (lambda p: save_truth(p, np.ones((2, 3))), r'\(2, 3\), expected \(m, 2\)'),
    ],
)
def test_bad_annotation_is_named(tmp_path, write, message):
    root = make_part(tmp_path / 'part_B')
    write(root / 'train_data/ground-truth/GT_IMG_7.mat')
    with pytest.raises(ValueError, match=f'GT_IMG_7.*{message}'):
        ShanghaiTechDataset(data_root=str(root))


def test_damaged_annotation_is_named(tmp_path):
    root = make_part(tmp_path / 'part_B', num_images=1)
    path = root / 'train_data/ground-truth/GT_IMG_1.mat'
    savemat(path, dict(image_info=np.random.default_rng(0).random((50, 50))), do_compression=True)
    content = bytearray(path.read_bytes())
    content[400:420] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ValueError, match='GT_IMG_1.*not a readable MATLAB'):
        ShanghaiTechDataset(data_root=str(root))


@pytest.mark.parametrize('content', [b'', b'text'])
def test_unreadable_image_is_named(tmp_path, content):
    root = make_part(tmp_path / 'part_B')
    (root / 'train_data/images/IMG_7.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=r'IMG_7\.jpg: not a readable image'):
        ShanghaiTechDataset(data_root=str(root))


def test_image_removed_after_the_start(tmp_path):
    root = make_part(tmp_path / 'part_B')
    dataset = ShanghaiTechDataset(data_root=str(root), pipeline=[LoadCrowdImage()])
    shutil.rmtree(root / 'train_data' / 'images')
    with pytest.raises(FileNotFoundError, match='IMG_1.jpg'):
        dataset[0]
