import numpy as np
import pytest
from mmengine.logging import MMLogger
from scipy.io import loadmat, savemat

from mmcrowd.datasets import UCFCC50Dataset
from mmcrowd.fileio.images import load_image

from ..testing.benchmarks import make_cc50


def ids(root, split, **kwargs):
    dataset = UCFCC50Dataset(data_root=str(root), split=split, **kwargs)
    return [int(dataset.get_data_info(i)['img_id']) for i in range(len(dataset))]


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_instance('t'), 'warning', lines.append)
    return lines


def test_folds(tmp_path, told):
    root = make_cc50(tmp_path)
    tested = [ids(root, 'test', fold=fold) for fold in range(5)]
    assert sorted(sum(tested, [])) == list(range(1, 51))
    assert [len(fold) for fold in tested] == 5 * [10]
    for fold in (0, 3):
        rest = [k for k in range(1, 51) if k not in tested[fold]]
        assert ids(root, 'trainval', fold=fold) == rest
        assert ids(root, 'val', fold=fold) == rest[9::10]
        assert sorted(ids(root, 'train', fold=fold) + rest[9::10]) == rest
    assert not told


def test_folds_are_those_of_the_documented_rule(tmp_path):
    root = make_cc50(tmp_path)
    names = np.arange(1, 51)
    for seed in (0, 7):
        order = np.random.RandomState(seed).permutation(50)
        assert set(ids(root, 'test', fold=2, seed=seed)) == set(names[order[2::5]].tolist())
    # The first fold of the first seed, once and for all.
    assert ids(root, 'test') == [6, 8, 13, 16, 21, 28, 29, 34, 37, 47]


def test_points(tmp_path):
    dataset = UCFCC50Dataset(data_root=str(make_cc50(tmp_path)), split='test')
    info = dataset.get_data_info(0)
    assert info['points'].tolist() == int(info['img_id']) * [[3, 3]]


def test_the_real_images(data_root, told):
    root = data_root / 'UCF_CC_50'
    counts = {}
    for fold in range(5):
        dataset = UCFCC50Dataset(data_root=str(root), split='test', fold=fold)
        assert '10 images; UCF_CC_50 has 50' in told[0]
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            counts[int(info['img_id'])] = len(info['points'])
            height, width = load_image(info['img_path']).shape[:2]
            assert (info['points'] < (width, height)).all()
    assert sorted(counts) == [3, 8, 14, 19, 22, 27, 31, 36, 42, 48]
    for k, count in counts.items():
        assert count == len(loadmat(root / f'{k}_ann.mat')['annPoints'])
    assert len(ids(root, 'train')) == 8


@pytest.mark.parametrize(
    'kwargs, message',
    [(dict(fold=5), 'fold=5'), (dict(fold=-1), 'fold=-1'), (dict(seed=-1), 'seed=-1')],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=f'{message}, expected'):
        UCFCC50Dataset(**kwargs)


def test_bad_files(tmp_path):
    root = make_cc50(tmp_path, 6)
    (root / '2_ann.mat').unlink()
    savemat(root / '3_ann.mat', dict(points=np.ones((1, 2))))
    with pytest.raises(ValueError, match=r"(?s)annotation \['2'\].*3_ann\.mat: no variable"):
        UCFCC50Dataset(data_root=str(root), split='trainval', fold=4)


def test_too_few_images(tmp_path):
    with pytest.raises(ValueError, match='4 images, expected at least 5'):
        UCFCC50Dataset(data_root=str(make_cc50(tmp_path, 4)))
