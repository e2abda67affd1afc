"""What all datasets on disk share: problems told together, the tree of a wrong root, the cache."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger
from scipy.io import savemat

from mmcrowd import datasets
from mmcrowd.datasets import (
    BaseCrowdDataset,
    CrowdDataset,
    ImageEntry,
    JHUCrowdDataset,
    NWPUCrowdDataset,
    ShanghaiTechDataset,
    UCFCC50Dataset,
    UCFQNRFDataset,
)

from ..testing.benchmarks import entries, make_cc50, make_jhu, make_nwpu, make_part, make_qnrf

MODULE = """
from mmcrowd.datasets import UCFQNRFDataset

class Mine(UCFQNRFDataset):
    def read_annotation(self, info):
        return dict(points={points})
"""


# Heads of at least a given size; the first two values of a row are a point.
OWN_CLASS = """
from pathlib import Path

from mmcrowd.datasets import BaseCrowdDataset

class Mine(BaseCrowdDataset):
    def __init__(self, min_size=0, kinds=(), **kwargs):
        self.min_size = min_size
        self.kinds = kinds
        super().__init__(**kwargs)

    def list_images(self, problems):
        files = sorted(Path(self.data_root).glob('*.txt'))
        return [
            dict(img_path=str(f.with_suffix('.png')), img_id=f.stem, ann_path=str(f)) for f in files
        ]

    def read_annotation(self, info):
        rows = [line.split() for line in Path(info['ann_path']).read_text().splitlines()]
        return dict(points=[[int(x), int(y)] for x, y, s in rows if int(s) >= self.min_size])
"""
OTHER_PROCESS = """
import json, sys
from mmcrowd.datasets import *
from mine_of_the_test import Mine

def refuse(*args):
    raise AssertionError('parsed')

BaseCrowdDataset.read_entry = refuse
for name, kwargs in json.loads(sys.argv[1]):
    if name == 'Mine':
        kwargs['kinds'] = {'head', 'body', 'shoulder', 'hat'}
    globals()[name](**kwargs)
"""


@pytest.fixture
def load_module(tmp_path, monkeypatch):
    """Function that imports a source text, in the place of what it imported before."""

    def load(source, folder=tmp_path / 'code'):
        folder.mkdir(exist_ok=True)
        path = folder / 'mine_of_the_test.py'
        if not path.exists() or path.read_text() != source:
            path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def own_data(tmp_path):
    """A folder of two images for ``Mine``."""
    root = tmp_path / 'own'
    root.mkdir()
    for name, rows in (('a', '1 2 5\n3 4 20\n'), ('b', '5 6 7\n')):
        cv2.imwrite(str(root / f'{name}.png'), np.zeros((10, 10, 3), np.uint8))
        (root / f'{name}.txt').write_text(rows)
    return str(root)


@pytest.fixture
def warnings(monkeypatch):
    """Warnings in the log."""
    told = []
    monkeypatch.setattr(MMLogger.get_instance('t'), 'warning', told.append)
    return told


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
        monkeypatch.setattr(BaseCrowdDataset, 'read_entry', refuse)

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
def test_wrong_root_shows_the_tree(tmp_path, monkeypatch, dataset, tree, exists):
    monkeypatch.setattr(dataset, '__doc__', None)  # as with python -OO
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


def test_entries_of_a_subclass(own_data, tmp_path):
    """A class with two short methods has splits, checks and attributes of its images."""

    class PointFiles(BaseCrowdDataset):
        LAYOUT = """
            photos
            └── a.png, a.txt ...
        """

        def list_images(self, problems):
            root = Path(self.data_root)
            self.check_layout(root)
            files = sorted(root.glob('*.txt'))
            return [
                ImageEntry(
                    img_path=str(file.with_suffix('.png')),
                    img_id=file.stem,
                    ann_path=str(file),
                    num_points=2,
                    extra=dict(camera='north'),
                )
                for file in files
            ]

        def read_annotation(self, entry):
            return dict(points=np.loadtxt(entry.ann_path, ndmin=2)[:, :2])

    with pytest.raises(ValueError, match=r'1 problem in .*\n- .*b\.txt: 1 points, labelled as 2$'):
        PointFiles(data_root=own_data, split='trainval', cache=False)
    (Path(own_data) / 'b.txt').unlink()
    (info,) = entries(PointFiles(data_root=own_data, split='trainval', cache=False))
    assert info['points'].tolist() == [[1, 2], [3, 4]] and info['camera'] == 'north'
    assert info['attributes'] == {} and 'num_points' not in info
    with pytest.raises(FileNotFoundError) as error:
        PointFiles(data_root=str(tmp_path / 'gone'))
    assert 'expected:\n\n    photos\n    └── a.png, a.txt ...\n\nor a copy' in str(error.value)


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


def test_changed_code_reads_again(tmp_path, load_module):
    root = make_qnrf(tmp_path / 'data')
    for points in ([[1, 2]], [[3, 4], [5, 6]]):
        dataset = load_module(MODULE.format(points=points)).Mine(data_root=str(root))
        assert dataset.get_data_info(0)['points'].tolist() == points


def test_changed_code_of_a_mixin_reads_again(own_data, tmp_path, load_module, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for number in (1, 2):
        (tmp_path / 'mixin_of_the_test.py').write_text(
            f'class Mixin:\n    def read_annotation(self, info):\n'
            f'        return dict(points=[[0, 0]] * {number})\n'
        )
        monkeypatch.delitem(sys.modules, 'mixin_of_the_test', raising=False)
        source = OWN_CLASS.replace('class Mine(', 'class Base(')
        source += '\nfrom mixin_of_the_test import Mixin\nclass Mine(Mixin, Base): pass\n'
        importlib.invalidate_caches()
        dataset = load_module(source).Mine(data_root=own_data, split='trainval')
        assert len(dataset.get_data_info(0)['points']) == number


def test_arguments_of_a_subclass_belong_to_the_key(own_data, load_module, no_parsing, warnings):
    mine = load_module(OWN_CLASS).Mine
    wanted = {0: [[1, 2], [3, 4]], 10: [[3, 4]], 30: []}
    for _ in range(2):
        for min_size, points in wanted.items():
            dataset = mine(data_root=own_data, split='trainval', min_size=min_size)
            assert dataset.get_data_info(0)['points'].tolist() == points
        no_parsing()
    # Of the pipeline, and of how entries are kept, no annotation depends.
    kwargs = dict(pipeline=[dict(type='mmcrowd.LoadCrowdImage')], serialize_data=False, indices=1)
    dataset = mine(data_root=own_data, split='trainval', min_size=10, **kwargs)
    assert len(dataset) == 1 and dataset[0]['points'].tolist() == [[3, 4]]
    for changed in (dict(kinds=('x',)), dict(filter_cfg=dict(x=1)), dict(metainfo=dict(x=1))):
        with pytest.raises(AssertionError, match='opened'):
            mine(data_root=own_data, split='trainval', **changed)
    assert not warnings


def test_an_attribute_that_is_changed_before_loading(own_data, load_module):
    mine = load_module(OWN_CLASS).Mine
    mine(data_root=own_data, split='trainval')
    dataset = mine(data_root=own_data, split='trainval', lazy_init=True)
    dataset.min_size = 10
    assert dataset.get_data_info(0)['points'].tolist() == [[3, 4]]


@pytest.mark.parametrize('value', [object(), len, np.array([object()]), [dict(x={1: print})]])
def test_attributes_that_are_no_plain_data(own_data, load_module, warnings, user_cache, value):
    mine, before = load_module(OWN_CLASS).Mine, set(user_cache.glob('*'))
    for _ in range(2):
        dataset = mine(data_root=own_data, split='trainval', kinds=value)
        assert len(dataset.get_data_info(0)['points']) == 2
    assert len(warnings) == 2 and set(user_cache.glob('*')) == before
    assert warnings[0].startswith('Mine: the annotations are not cached')
    assert "cache_key()['kinds']" in warnings[0] and 'no plain data' in warnings[0]


def test_a_subclass_may_choose_its_key(own_data, load_module, warnings, no_parsing):
    source = (
        OWN_CLASS
        + """
    def cache_key(self):
        return {key: value for key, value in super().cache_key().items() if key != 'kinds'}
"""
    )
    mine = load_module(source).Mine
    mine(data_root=own_data, split='trainval', kinds=print)
    no_parsing()
    mine(data_root=own_data, split='trainval', kinds=object())
    assert not warnings


def test_classes_whose_code_is_in_no_file(own_data, load_module, warnings):
    module = load_module(OWN_CLASS)
    for number in (1, 2):

        class Inside(module.Mine):
            def read_annotation(self, info, number=number):
                return dict(points=[[0, 0]] * number)

        dataset = Inside(data_root=own_data, split='trainval')
        assert len(dataset.get_data_info(0)['points']) == number
    del module.__file__  # as in a notebook
    module.Mine(data_root=own_data, split='trainval')
    assert len(warnings) == 3
    assert 'Inside of' in warnings[0] and 'in no file' in warnings[0]
    assert 'Mine of mine_of_the_test' in warnings[2]


LISTED = """
import json
from pathlib import Path

from mmcrowd.datasets import BaseCrowdDataset

class Mine(BaseCrowdDataset):
    def list_images(self, problems):
        rows = json.loads(Path(self.data_root, 'list.json').read_text())
        return [dict(img_path=str(Path(self.data_root, 'a.png')), img_id='a', **rows)]

    def read_annotation(self, info):
        return info['annotation'] if 'annotation' in info else dict(points=[info['point']])
"""


@pytest.mark.parametrize(
    'rows', [[dict(annotation=dict(points=[p])) for p in ([1, 2], [3, 4])], [dict(point=[1, 2])]]
)
def test_what_the_list_says_belongs_to_the_key(own_data, load_module, no_parsing, rows):
    mine, path = load_module(LISTED).Mine, Path(own_data) / 'list.json'
    rows = [*rows, dict(point=[5, 6])]
    for _ in range(2):
        for row in rows:
            path.write_text(json.dumps(row))
            points = mine(data_root=own_data).get_data_info(0)['points'].tolist()
            assert points == (
                row['annotation']['points'] if 'annotation' in row else [row['point']]
            )
        no_parsing()


def test_annotations_that_change_places(own_data, load_module):
    source = OWN_CLASS.replace(
        '        return [',
        '        swap = Path(self.data_root, "swap").exists()\n'
        '        names = files[::-1] if swap else files\n'
        '        return [',
    ).replace('ann_path=str(f)) for f in files', 'ann_path=str(g)) for f, g in zip(files, names)')
    mine = load_module(source).Mine
    first = mine(data_root=own_data, split='trainval').get_data_info(0)['points'].tolist()
    (Path(own_data) / 'swap').touch()
    second = mine(data_root=own_data, split='trainval').get_data_info(0)['points'].tolist()
    assert (first, second) == ([[1, 2], [3, 4]], [[5, 6]])


def test_another_process_opens_no_file(own_data, tmp_path, load_module, user_cache):
    makers = dict(
        UCFQNRFDataset=make_qnrf,
        JHUCrowdDataset=make_jhu,
        NWPUCrowdDataset=make_nwpu,
        ShanghaiTechDataset=make_part,
        UCFCC50Dataset=make_cc50,
    )
    starts = [('Mine', dict(data_root=own_data, split='trainval'))]
    for name, make in makers.items():
        make(tmp_path / name)
        starts.append((name, dict(data_root=str(tmp_path / name))))
    starts.append(('CrowdDataset', dict(data_root=str(tmp_path), ann_file='a.json', split='test')))
    entry = dict(img_path='own/a.png', points=[[1, 2]], attributes=dict(x=[1, {'y': None}]))
    (tmp_path / 'a.json').write_text(json.dumps(dict(data_list=[entry])))
    module = load_module(OWN_CLASS)
    for name, kwargs in starts:
        if name == 'Mine':
            module.Mine(**dict(kwargs, kinds={'hat', 'shoulder', 'body', 'head'}))
        else:
            getattr(datasets, name)(**kwargs)
    path = os.pathsep.join([str(tmp_path / 'code'), str(Path(datasets.__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, '-c', OTHER_PROCESS, json.dumps(starts)],
        env=dict(os.environ, PYTHONPATH=path, PYTHONHASHSEED='7'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


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
