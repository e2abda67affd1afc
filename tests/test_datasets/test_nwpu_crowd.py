import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.datasets import NWPUCrowdDataset
from mmcrowd.datasets.nwpu_crowd import read_list
from mmcrowd.ops.heads import box_sigmas

from ..testing.benchmarks import NWPU_LISTS, entries, make_nwpu, write_nwpu_json


@pytest.mark.parametrize('truth', ['jsons', 'mats'])
@pytest.mark.parametrize('parts', [False, True])
def test_layout(tmp_path, truth, parts):
    root = str(make_nwpu(tmp_path, truth, parts))
    if parts:
        (tmp_path / 'images_part1.zip').write_bytes(b'')
    infos = {
        split: entries(NWPUCrowdDataset(data_root=root, split=split))
        for split in ('train', 'val', 'trainval', 'test')
    }
    ids = {split: tuple(info['img_id'] for info in infos[split]) for split in infos}
    assert ids == dict(NWPU_LISTS, trainval=NWPU_LISTS['train'] + NWPU_LISTS['val'])
    info = infos['val'][0]
    assert info['points'].tolist() == [[10.5, 20], [11.5, 20], [12.5, 20], [13.5, 20]]
    assert info['boxes'][0].tolist() == [7.5, 16, 13.5, 24]
    assert info['sigmas'].tolist() == 4 * [[3, 5]]
    assert {info[key].dtype.name for key in ('points', 'boxes', 'sigmas')} == {'float32'}
    assert info['attributes'] == dict(luminance=2, level=5)
    nobody = infos['train'][0]
    assert [nobody[key].shape for key in ('points', 'boxes', 'sigmas')] == [(0, 2), (0, 4), (0, 2)]


def test_test_images_have_no_truth(tmp_path):
    root = make_nwpu(tmp_path)
    pipeline = [dict(type='mmcrowd.LoadCrowdImage'), dict(type='mmcrowd.PackCrowdInputs')]
    for _ in range(2):  # parsed, then from the cache
        dataset = NWPUCrowdDataset(data_root=str(root), split='test', pipeline=pipeline)
        assert not {'points', 'boxes', 'sigmas', 'ann_path'} & dataset.get_data_info(0).keys()
        sample = dataset[0]['data_samples']
        assert sample.img_id == '0006' and sample.attributes == {}
        assert 'gt_instances' not in sample and 'gt_count' not in sample
    for path in (root / 'jsons').iterdir():
        path.unlink()
    (root / 'jsons').rmdir()
    assert len(NWPUCrowdDataset(data_root=str(root), split='test')) == 2


def test_boxes_and_sigmas_reach_the_sample(tmp_path):
    pipeline = [
        dict(type='mmcrowd.LoadCrowdImage'),
        dict(type='mmcrowd.ResizeToLimits', longest=30),
        dict(type='mmcrowd.PackCrowdInputs'),
    ]
    dataset = NWPUCrowdDataset(data_root=str(make_nwpu(tmp_path)), split='val', pipeline=pipeline)
    sample = dataset[0]['data_samples']
    assert sample.gt_count == 4 and sample.attributes == dict(luminance=2, level=5)
    assert sample.gt_instances.boxes[0].tolist() == [3.5, 7.75, 6.5, 11.75]
    assert sample.gt_instances.sigmas.tolist() == 4 * [[1.5, 2.5]]


@given(st.lists(st.tuples(*4 * [st.integers(0, 20000)]), max_size=5))
def test_sigmas_are_those_of_the_benchmark(rows):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32).reshape(-1, 4)
    wanted = [[int(min(w, h) / 2), int(math.sqrt(w**2 + h**2) / 2)] for _, _, w, h in rows]
    assert box_sigmas(boxes).tolist() == wanted


@pytest.mark.parametrize(
    'content, message',
    [
        ('{', 'not valid JSON'),
        (b'\xff\xfe{', 'not valid JSON'),
        ('[]', 'expected an object with "points" and "boxes"'),
        ('{"points": []}', 'expected an object with "points" and "boxes"'),
        (dict(human_num=2), '1 points, but human_num is 2'),
        (dict(points=[[1, 2, 3]]), r'\(1, 3\), expected \(m, 2\)'),
        (dict(points=[[1, float('nan')]]), 'not finite'),
        (dict(points=[['a', 'b']]), 'not numbers'),
        (dict(boxes=[]), r'expected \(1, 4\)'),
        (dict(boxes=[[1, 2, 3]]), r'expected \(1, 4\)'),
        (dict(boxes=[[1, 2, 3, float('inf')]]), 'finite'),
        (dict(boxes=[[0, True, 2, 4]]), 'boxes are not numbers'),
        (dict(boxes=[[1, 2, 3], [1]]), 'boxes are not numbers'),
    ],
)
def test_bad_annotation(tmp_path, content, message):
    root = make_nwpu(tmp_path)
    if isinstance(content, dict):
        write_nwpu_json(root, '0002', **{**dict(points=[[1, 2]], boxes=[[0, 0, 2, 4]]), **content})
    else:
        (root / 'jsons' / '0002.json').write_bytes(
            content.encode() if isinstance(content, str) else content
        )
    with pytest.raises(ValueError, match=rf'0002\.json: .*{message}'):
        NWPUCrowdDataset(data_root=str(root))


@pytest.mark.parametrize(
    'file, content, message',
    [
        (
            'train.txt',
            '0001 1\n0002 1 1\n',
            r"train\.txt:1: '0001 1', expected .id luminance level",
        ),
        ('train.txt', '0001 1 x\n', r'train\.txt:1: .*expected'),
        ('train.txt', '0001 1 1_0\n', r'train\.txt:1: .*expected'),
        ('train.txt', '0001 1 １\n', r'train\.txt:1: .*expected'),
        ('train.txt', '0001 1 1\n\n0002 1 1\n', r"train\.txt:2: ''"),
        ('test.txt', '0006 1 1\n', r"test\.txt:1: '0006 1 1', expected .id."),
        ('train.txt', '0001 1 1\n0001 1 1\n', r"unique.*\['0001'\]"),
        ('train.txt', '0001 1 1\n0003 1 1\n', r"unique.*\['0003'\]"),
        ('train.txt', '0001 1 1\n0002 1 1\n0004 1 1\n0009 1 1\n', r"images not there \['0009'\]"),
        ('train.txt', '0001 1 1\n0002 1 1\n0004 1 1\n0009 1 1\n', r"annotations .* \['0009'\]"),
        ('train.txt', '0001 1 1\n0002 1 1\n', r"1 images in no list \['0004'\]"),
        ('train.txt', '0001 1 1\n0002 1 1\n', r"1 annotations in no list \['0004'\]"),
        ('images/0002.jpg', None, r"1 listed images not there \['0002'\]"),
        ('jsons/0002.json', None, r"1 listed annotations not there \['0002'\]"),
        ('images/0002.jpg', '', r'0002\.jpg: not a readable image'),
    ],
)
def test_bad_files(tmp_path, file, content, message):
    path = make_nwpu(tmp_path) / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content, encoding='utf-8')
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        NWPUCrowdDataset(data_root=str(tmp_path))


def test_an_image_in_two_parts(tmp_path):
    root = make_nwpu(tmp_path, parts=True)
    (root / 'images_part5' / '0002.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r"unique.*\['0002'\]"):
        NWPUCrowdDataset(data_root=str(root))


def test_real_lists(data_root):
    problems = []
    lists = {
        name: read_list(data_root / 'NWPU-Crowd' / f'{name}.txt', problems)
        for name in ('train', 'val', 'test')
    }
    assert not problems
    ids = {name: [img_id for img_id, _ in rows] for name, rows in lists.items()}
    assert {name: len(set(rows)) for name, rows in ids.items()} == dict(
        train=3109, val=500, test=1500
    )
    assert sorted(sum(ids.values(), [])) == [f'{k:04d}' for k in range(1, 5110)]
    assert ids['val'][59] == '3098' and ids['test'][0] == '3610'
    # The level of an image is that of its count.
    counts = {}
    for line in (data_root / 'nwpu_loc' / 'val_gt_loc.txt').read_text().splitlines():
        img_id, count = line.split()[:2]
        counts[f'{int(img_id):04d}'] = int(count)
    assert counts.keys() == set(ids['val'])
    for img_id, attributes in lists['val']:
        assert attributes['luminance'] in range(4)
        assert attributes['level'] == np.searchsorted([0, 100, 500, 5000], counts[img_id])
