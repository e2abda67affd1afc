"""What all datasets on disk share: problems told together, the tree of a wrong root, the cache."""

import importlib.util
import json
import shutil
import sys

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger
from scipy.io import savemat

from mmcrowd.datasets import (
    BaseCrowdDataset,
    CrowdDataset,
    JHUCrowdDataset,
    NWPUCrowdDataset,
    ShanghaiTechDataset,
    UCFCC50Dataset,
    UCFQNRFDataset,
)

from .test_ucf_qnrf import make_qnrf

MODULE = """
from mmcrowd.datasets import UCFQNRFDataset

class Mine(UCFQNRFDataset):
    def read_annotation(self, info):
        return dict(points={points})
"""


def entries(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def same(a, b) -> bool:
    keys = ('img_id', 'img_path', 'attributes')
    return len(a) == len(b) and all(
        x.keys() == y.keys()
        and all(x[key] == y[key] for key in keys)
        and np.array_equal(x['points'], y['points'])
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def no_parsing(monkeypatch):
    """A function from whose call on no file of a dataset is opened."""

    def refuse(*args):
        raise AssertionError('opened')

    def start():
        monkeypatch.setattr(BaseCrowdDataset, '_read', refuse)

    return start


# ---------------------------------------------------------------------------------- problems


def test_a_subclass_without_annotations(tmp_path):
    class Unfinished(BaseCrowdDataset):
        def list_images(self, problems):
            return [dict(img_path='a.jpg', img_id='a', ann_path='a.txt')]

    with pytest.raises(TypeError, match=r'Unfinished: .* a\.jpg, .* be overridden'):
        Unfinished(data_root=str(tmp_path))


def test_all_problems_are_told_together(tmp_path):
    root = make_qnrf(tmp_path, num_images=20)
    folder = root / 'Train'
    savemat(folder / 'img_0002_ann.mat', dict(points=np.ones((1, 2))))
    savemat(folder / 'img_0003_ann.mat', dict(annPoints=np.array([[1, np.nan]])))
    savemat(folder / 'img_0004_ann.mat', dict(annPoints=np.ones((2, 3))))
    (folder / 'img_0005_ann.mat').write_bytes(b'damaged')
    (folder / 'img_0006.jpg').write_bytes(b'damaged')
    (folder / 'img_0007.jpg').unlink()
    (folder / 'img_0008_ann.mat').unlink()
    with pytest.raises(ValueError) as error:
        UCFQNRFDataset(data_root=str(root), split='trainval')
    head, *lines = str(error.value).splitlines()
    assert head == f"UCFQNRFDataset: 7 problems in split 'trainval' of {str(root)!r}:"
    wanted = [
        "1 images without annotation ['img_0008']",
        "1 annotations without image ['img_0007']",
        "img_0002_ann.mat: no variable 'annPoints'",
        'img_0003_ann.mat: 1 points are not finite',
        'img_0004_ann.mat: points have shape (2, 3)',
        'img_0005_ann.mat: not a readable MATLAB',
        'img_0006.jpg: not a readable image',
    ]
    assert len(lines) == len(wanted)
    for line, part in zip(lines, wanted, strict=True):
        assert line.startswith('- ') and part in line


def test_many_problems_are_cut_short(tmp_path):
    root = make_qnrf(tmp_path, num_images=25)
    for path in (root / 'Train').glob('*.mat'):
        path.write_bytes(b'')
    with pytest.raises(ValueError) as error:
        UCFQNRFDataset(data_root=str(root), split='trainval')
    lines = str(error.value).splitlines()
    assert '25 problems' in lines[0] and lines[-1] == '- and 5 more' and len(lines) == 22


def test_a_split_with_problems_is_not_kept(tmp_path):
    root = make_qnrf(tmp_path / 'data', num_images=2)
    (root / 'Train' / 'img_0001.jpg').write_bytes(b'')
    for _ in range(2):
        with pytest.raises(ValueError, match='1 problem in'):
            UCFQNRFDataset(data_root=str(root), cache_dir=str(tmp_path / 'cache'))
    assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize(
    'dataset, tree',
    [
        (ShanghaiTechDataset, ['    part_A or part_B', 'GT_IMG_1.mat ...', '    └── ground-truth']),
        (UCFQNRFDataset, ['    UCF-QNRF_ECCV18', 'img_0001_ann.mat', '    └── Test']),
        (UCFCC50Dataset, ['    UCF_CC_50', '1_ann.mat', '    └── ...']),
        (JHUCrowdDataset, ['    jhu_crowd_v2.0', 'image_labels.txt', '    └── test']),
        (NWPUCrowdDataset, ['    NWPU-Crowd', '0001.json ...', '    └── test.txt']),
        (CrowdDataset, ['    {', '"data_list": [', '    }']),
    ],
)
@pytest.mark.parametrize('exists', [False, True])
def test_wrong_root_shows_the_tree(tmp_path, dataset, tree, exists):
    root = tmp_path / 'nowhere'
    if exists:
        root.mkdir()
    with pytest.raises(FileNotFoundError) as error:
        dataset(data_root=str(root))
    head, _, *lines = str(error.value).splitlines()
    assert head.startswith(f'{dataset.__name__}: no ')
    assert f'data_root={str(root)!r}, expected:' in head
    if dataset is not CrowdDataset:
        assert lines[-2:] == ['', 'or a copy by tools/dataset_converters/prepare.py']
        del lines[-2:]
    assert lines[0].startswith(tree[0]) and lines[-1].endswith(tree[2])
    assert any(tree[1] in line for line in lines[1:-1])


# ------------------------------------------------------------------------------------- cache


def test_second_start_opens_no_file(tmp_path, no_parsing):
    root = make_qnrf(tmp_path)
    first = {s: entries(UCFQNRFDataset(data_root=str(root), split=s)) for s in ('train', 'test')}
    no_parsing()
    for split, wanted in first.items():
        assert same(entries(UCFQNRFDataset(data_root=str(root), split=split)), wanted)
    with pytest.raises(AssertionError, match='opened'):
        UCFQNRFDataset(data_root=str(root), split='val')
    with pytest.raises(AssertionError, match='opened'):
        UCFQNRFDataset(data_root=str(root), cache=False)


def test_nothing_is_written_beside_the_data(tmp_path, user_cache):
    root = make_qnrf(tmp_path)
    before = sorted(tmp_path.rglob('*')), {f.name for f in user_cache.glob('*')}
    UCFQNRFDataset(data_root=str(root), cache=False)
    assert (sorted(tmp_path.rglob('*')), {f.name for f in user_cache.glob('*')}) == before
    UCFQNRFDataset(data_root=str(root))
    assert sorted(tmp_path.rglob('*')) == before[0]
    (new,) = {f.name for f in user_cache.glob('*')} - before[1]
    assert new.startswith('UCFQNRFDataset-train-')


def test_cache_dir(tmp_path, user_cache):
    root, before = make_qnrf(tmp_path / 'data'), len(list(user_cache.glob('*')))
    UCFQNRFDataset(data_root=str(root), cache_dir=str(tmp_path / 'cache'))
    assert len(list((tmp_path / 'cache').iterdir())) == 1
    assert len(list(user_cache.glob('*'))) == before


def test_changed_files_are_read_again(tmp_path):
    root = make_qnrf(tmp_path)

    def first():
        return UCFQNRFDataset(data_root=str(root)).get_data_info(0)['points'].tolist()

    first()
    savemat(root / 'Train' / 'img_0001_ann.mat', dict(annPoints=np.array([[50.0, 30.0]])))
    assert first() == [[50, 30]]
    cv2.imwrite(str(root / 'Train' / 'img_0001.jpg'), np.zeros((20, 40, 3), np.uint8))
    assert first() == [[39, 19]]
    for ending in ('.jpg', '_ann.mat'):
        shutil.copy(root / f'Test/img_0003{ending}', root / f'Train/img_0000{ending}')
    assert len(first()) == 3


def test_changed_code_reads_again(tmp_path):
    root = make_qnrf(tmp_path / 'data')
    for points in ([[1, 2]], [[3, 4], [5, 6]]):
        source = tmp_path / 'mine.py'
        source.write_text(MODULE.format(points=points))
        spec = importlib.util.spec_from_file_location('mine_of_the_test', source)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
            dataset = module.Mine(data_root=str(root))
        finally:
            del sys.modules[spec.name]
        assert dataset.get_data_info(0)['points'].tolist() == points


def test_two_annotations_of_the_same_images_are_kept_apart(tmp_path, no_parsing):
    cv2.imwrite(str(tmp_path / 'x.png'), np.zeros((10, 10, 3), np.uint8))
    for name, points in (('a', [[1, 2]]), ('b', [[3, 4]])):
        entry = dict(img_path='x.png', points=points)
        (tmp_path / f'{name}.json').write_text(json.dumps(dict(data_list=[entry])))
    for _ in range(2):
        for name, points in (('a', [[1, 2]]), ('b', [[3, 4]])):
            dataset = CrowdDataset(data_root=str(tmp_path), ann_file=f'{name}.json')
            assert dataset.get_data_info(0)['points'].tolist() == points
        no_parsing()


def test_damaged_cache_is_told_and_rebuilt(tmp_path, monkeypatch, no_parsing):
    root, folder = make_qnrf(tmp_path / 'data'), tmp_path / 'cache'
    wanted = entries(UCFQNRFDataset(data_root=str(root), cache_dir=str(folder)))
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    told = []
    monkeypatch.setattr(MMLogger.get_instance('t'), 'warning', told.append)
    assert same(entries(UCFQNRFDataset(data_root=str(root), cache_dir=str(folder))), wanted)
    assert len(told) == 1 and f'{file} is damaged' in told[0]
    no_parsing()
    assert same(entries(UCFQNRFDataset(data_root=str(root), cache_dir=str(folder))), wanted)


def test_points_outside_are_told_at_every_start(tmp_path, monkeypatch):
    root = make_qnrf(tmp_path)
    savemat(root / 'Test' / 'img_0001_ann.mat', dict(annPoints=np.array([[-3.0, 5.0]])))
    told = []
    monkeypatch.setattr(MMLogger.get_instance('t'), 'warning', told.append)
    for start in (1, 2):
        dataset = UCFQNRFDataset(data_root=str(root), split='test')
        assert dataset.get_data_info(0)['points'].tolist() == [[0, 5]]
        assert len(told) == start and '1 points in 1 images' in told[-1]


def test_all_entries_are_one_block_of_bytes(tmp_path):
    """What forked loader workers share with their parent; there are no objects beside it."""
    dataset = UCFQNRFDataset(data_root=str(make_qnrf(tmp_path)))
    assert dataset.data_list == []
    assert dataset.data_bytes.dtype == np.uint8 and dataset.data_bytes.ndim == 1
