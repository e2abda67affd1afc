from collections import Counter

import cv2
import numpy as np
import pytest

from mmcrowd.datasets import JHUCrowdDataset
from mmcrowd.datasets.jhu_crowd import read_labels
from mmcrowd.structures import to_original_frame

from ..testing.benchmarks import entries, make_jhu


def test_layout(tmp_path):
    root = str(make_jhu(tmp_path))
    ids = {
        split: [info['img_id'] for info in entries(JHUCrowdDataset(data_root=root, split=split))]
        for split in ('train', 'val', 'trainval', 'test')
    }
    assert ids['train'] == ['0001', '0002', '0003', '0004', '0005']
    assert ids['val'][0] == '0006' and ids['test'][-1] == '0015'
    assert ids['trainval'] == ids['train'] + ids['val']


def test_fields(tmp_path):
    root = make_jhu(tmp_path)
    (root / 'val' / 'gt' / '0008.txt').write_text('10 20 4 6 3 1\n11 22 0 0 2 0 \n')
    infos = entries(JHUCrowdDataset(data_root=str(root), split='val'))
    info = infos[2]
    assert info['points'].tolist() == [[10, 20], [11, 22]]
    assert info['boxes'].tolist() == [[8, 17, 12, 23], [11, 22, 11, 22]]
    assert info['occlusion'].tolist() == [3, 2] and info['blur'].tolist() == [1, 0]
    assert info['points'].dtype == info['boxes'].dtype == np.float32
    assert info['occlusion'].dtype == info['blur'].dtype == np.int64
    assert info['attributes'] == dict(scene='railway station', weather=2, distractor=0)
    assert 'num_points' not in info
    # Nobody is there.
    assert infos[0]['points'].shape == (0, 2) and infos[0]['boxes'].shape == (0, 4)
    assert infos[0]['occlusion'].shape == infos[0]['blur'].shape == (0,)
    assert infos[0]['attributes']['distractor'] == 1


def test_everything_of_a_head_stays_together(tmp_path):
    """Through a crop and a flip into the sample: ``blur`` tells which head it was."""
    root = make_jhu(tmp_path, size=(100, 120))
    rng = np.random.default_rng(0)
    points = rng.integers(0, (120, 100), (60, 2))
    heads = [f'{x} {y} {2 * i} 4 {1 + i % 3} {i}' for i, (x, y) in enumerate(points)]
    (root / 'test' / 'gt' / '0011.txt').write_text('\n'.join(heads))
    labels = (root / 'test' / 'image_labels.txt').read_text()
    (root / 'test' / 'image_labels.txt').write_text(labels.replace('0011,0', '0011,60'))
    dataset = JHUCrowdDataset(
        data_root=str(root),
        split='test',
        pipeline=[
            dict(type='mmcrowd.LoadCrowdImage'),
            dict(type='mmcrowd.RandomScaleCrop', crop_size=48, scale_range=(0.8, 0.8)),
            dict(type='mmcrowd.RandomFlip', prob=1.0),
            dict(type='mmcrowd.PackCrowdInputs'),
        ],
    )
    sample = dataset[0]['data_samples']
    heads = sample.gt_instances
    assert 0 < len(heads) == sample.gt_count < 60
    which = heads.blur.numpy()
    back = to_original_frame(heads.points.numpy(), sample.metainfo)
    np.testing.assert_allclose(back, points[which], atol=0.01)
    np.testing.assert_array_equal(heads.occlusion, 1 + which % 3)
    np.testing.assert_allclose(heads.boxes[:, 2] - heads.boxes[:, 0], 1.6 * which, atol=0.01)
    assert sample.attributes == dict(scene='railway station', weather=0, distractor=1)


@pytest.mark.parametrize(
    'file, content, message',
    [
        ('gt/0003.txt', '1 2 3 4 1 0\n', r'0003\.txt: 1 points, labelled as 2'),
        ('gt/0003.txt', '', r'0003\.txt: 0 points, labelled as 2'),
        ('gt/0003.txt', '1 2 3 4 1 0\n1 2 3\n', r'0003\.txt:2: 3 values, expected "x y w h o b"'),
        ('gt/0003.txt', '1 2 3 4 1 0\n\n1 2 3 4 1 0\n', r'0003\.txt:2: 0 values'),
        ('gt/0003.txt', '1 2 3 4 1 0\n1 b 3 4 1 0\n', r"0003\.txt:2: \['1', 'b', .*finite"),
        ('gt/0003.txt', '1 2 3 4 1 0\nnan 2 3 4 1 0\n', r"0003\.txt:2: \['nan', .*finite"),
        ('gt/0003.txt', '1 2 3 4 1 0\n1_2 2 3 4 1 0\n', r"0003\.txt:2: \['1_2', .*finite"),
        ('gt/0003.txt', '1 2 3 4 1 0\n１ 2 3 4 1 0\n', r"0003\.txt:2: \['１', .*finite"),
        ('gt/0003.txt', '1 2 3 4 1 0\n1 2 3 4 1.5 0\n', r'0003\.txt: occlusion are not whole'),
        ('gt/0003.txt', '1 2 3 4 1 0\n1 2 3 4 inf 0\n', r'0003\.txt:2: .*finite'),
        ('gt/0003.txt', b'\xff\xfe', r'0003\.txt: not a text file'),
        ('gt/0003.txt', None, r"images without annotation \['0003'\]"),
        ('images/0003.jpg', None, r"annotations without image \['0003'\]"),
        ('images/0003.jpg', None, r"labels without image \['0003'\]"),
        ('images/0003.jpg', b'text', r'0003\.jpg: not a readable image'),
        ('image_labels.txt', '0001,0,a,0,0\n', r"4 images without label \['0002', '0003'"),
        ('image_labels.txt', '0001,0,a,0\n', r"image_labels\.txt:1: '0001,0,a,0', expected"),
        ('image_labels.txt', '0001,0,a,x,0\n', r'image_labels\.txt:1: .*expected "id,count'),
        ('image_labels.txt', '0001,0,a,1_0,0\n', r'image_labels\.txt:1: .*expected "id,count'),
        ('image_labels.txt', '0001,0,a,１,0\n', r'image_labels\.txt:1: .*expected "id,count'),
        ('image_labels.txt', '0001,+0,a,1,0\n', r'image_labels\.txt:1: .*expected "id,count'),
        ('image_labels.txt', '0001,0,a,0,0\n0001,0,a,0,0\n', r"unique.*\['0001'\]"),
    ],
)
def test_bad_data(tmp_path, file, content, message):
    path = make_jhu(tmp_path) / 'train' / file
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(content, encoding='utf-8')
    else:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        JHUCrowdDataset(data_root=str(tmp_path))


def test_a_label_that_changes_is_checked_although_the_annotations_are_cached(tmp_path):
    root = make_jhu(tmp_path)
    JHUCrowdDataset(data_root=str(root), split='val')
    labels = root / 'val' / 'image_labels.txt'
    labels.write_text(labels.read_text().replace('0008,2,', '0008,3,'))
    with pytest.raises(ValueError, match=r'0008\.txt: 2 points, labelled as 3'):
        JHUCrowdDataset(data_root=str(root), split='val')


def test_same_id_in_two_splits(tmp_path):
    root = make_jhu(tmp_path)
    for name in ('images/0001.jpg', 'gt/0001.txt'):
        (root / 'val' / name).write_bytes((root / 'train' / name).read_bytes())
    with (root / 'val' / 'image_labels.txt').open('a') as labels:
        labels.write('0001,0,street,0,0\n')
    with pytest.raises(ValueError, match=r"unique.*\['0001'\]"):
        JHUCrowdDataset(data_root=str(root), split='trainval')


def test_real_labels(data_root):
    problems = []
    labels = read_labels(data_root / 'jhu_crowd_v2.0' / 'test' / 'image_labels.txt', problems)
    assert len(labels) == 1600 and not problems
    attributes = [label['attributes'] for label in labels.values()]
    assert Counter(a['weather'] for a in attributes) == {0: 1409, 1: 64, 2: 49, 3: 78}
    assert sum(a['distractor'] for a in attributes) == 31
    assert labels['0002']['attributes']['scene'] == 'street' and labels['0002']['num_points'] == 43


def test_real_annotations(data_root, tmp_path):
    """The annotation files that are there, with images of their size made for them."""
    source, folder = data_root / 'jhu_crowd_v2.0' / 'test', tmp_path / 'test'
    (folder / 'images').mkdir(parents=True)
    (folder / 'gt').symlink_to(source / 'gt')
    files = sorted((source / 'gt').iterdir())
    ids = {file.stem for file in files}
    for file in files:
        width, height = np.loadtxt(file, dtype=int, ndmin=2)[:, :2].max(axis=0) + 1
        cv2.imwrite(
            str(folder / 'images' / f'{file.stem}.jpg'), np.zeros((height, width), np.uint8)
        )
    rows = (source / 'image_labels.txt').read_text().splitlines()
    rows = [row for row in rows if row.split(',')[0] in ids]
    (folder / 'image_labels.txt').write_text('\n'.join(rows))

    infos = entries(JHUCrowdDataset(data_root=str(tmp_path), split='test'))
    assert len(infos) == 66 and sum(len(info['points']) for info in infos) == 13091
    counts = {row.split(',')[0]: int(row.split(',')[1]) for row in rows}
    assert {info['img_id']: len(info['points']) for info in infos} == counts
    occlusion = Counter(np.concatenate([info['occlusion'] for info in infos]).tolist())
    assert occlusion == {1: 12512, 2: 547, 3: 32}
    assert sum(info['blur'].sum() for info in infos) == 2352
    boxes = np.concatenate([info['boxes'] for info in infos])
    assert ((boxes[:, 2:] - boxes[:, :2]) == 0).any(axis=1).sum() == 42
