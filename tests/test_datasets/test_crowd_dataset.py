import json
from pathlib import Path, PureWindowsPath

import cv2
import numpy as np
import pytest

from mmcrowd.datasets import CrowdDataset, annotation_json
from mmcrowd.datasets.transforms import LoadCrowdImage, PackCrowdInputs
from mmcrowd.fileio.problems import Problems
from mmcrowd.structures import to_original_frame


def write(root, data_list, **extra):
    (root / 'images').mkdir(exist_ok=True)
    for entry in data_list:
        if isinstance(entry, dict) and isinstance(entry.get('img_path'), str) and entry['img_path']:
            cv2.imwrite(str(root / entry['img_path']), np.zeros((20, 30, 3), np.uint8))
    (root / 'annotations.json').write_text(json.dumps(dict(data_list=data_list, **extra)))
    return str(root)


def images(num, **extra):
    return [dict(img_path=f'images/{k}.png', points=[[1, 2]] * k, **extra) for k in range(num)]


def test_reads_the_documented_format(tmp_path):
    entry = dict(
        img_path='images/a.png',
        points=[[1.5, 2], [3, 4]],
        boxes=[[0, 0, 2, 4], [2, 2, 4, 6]],
        attributes=dict(weather='rain'),
    )
    root = write(tmp_path, [entry], metainfo=dict(dataset_name='station'))
    dataset = CrowdDataset(data_root=root)
    info = dataset.get_data_info(0)
    assert dataset.metainfo['dataset_name'] == 'station'
    assert info['points'].tolist() == [[1.5, 2], [3, 4]] and info['boxes'].shape == (2, 4)
    assert info['img_id'] == 'images/a' and info['attributes'] == dict(weather='rain')


def test_ids_do_not_depend_on_the_system(tmp_path, monkeypatch):
    root = write(tmp_path, [dict(img_path='images/a.png', points=[])])
    monkeypatch.setattr(annotation_json, 'Path', PureWindowsPath)
    _, (info,) = annotation_json.read_annotation_file(f'{root}/annotations.json', root, Problems())
    assert info['img_id'] == 'images/a'


def test_every_tenth_is_val_without_splits(tmp_path):
    root = write(tmp_path, images(10))
    sizes = [
        len(CrowdDataset(data_root=root, split=s)) for s in ('train', 'val', 'trainval', 'test')
    ]
    assert sizes == [9, 1, 10, 10]


def test_given_splits(tmp_path):
    data = images(6)
    for entry, split in zip(data, ('train', 'train', 'train', 'val', 'test', 'test'), strict=True):
        entry['split'] = split
    root = write(tmp_path, data)
    sizes = [
        len(CrowdDataset(data_root=root, split=s)) for s in ('train', 'val', 'trainval', 'test')
    ]
    assert sizes == [3, 1, 4, 2]


@pytest.mark.parametrize(
    'entry, message',
    [
        (dict(img_path='images/x.png'), 'no key "points"'),
        (dict(points=[]), '"img_path"'),
        (dict(img_path='', points=[]), '"img_path"'),
        ('images/x.png', '"img_path"'),
        (dict(img_path='images/x.png', points=[[1, 2, 3]]), r'\(1, 3\), expected \(m, 2\)'),
        (dict(img_path='images/x.png', points=[1, 2]), r'\(2,\), expected \(m, 2\)'),
        (dict(img_path='images/x.png', points=[['a', 'b']]), 'not numbers'),
        (dict(img_path='images/x.png', points=[[1, 2], [3]]), 'not numbers'),
        (dict(img_path='images/x.png', points=[['1', '2']]), 'not numbers'),
        (dict(img_path='images/x.png', points=[[1, None]]), 'not numbers'),
        (dict(img_path='images/x.png', points=[[True, False]]), 'not numbers'),
        (dict(img_path='images/x.png', points=[[True, 2.5]]), 'not numbers'),
        (dict(img_path='images/x.png', points=[[1, float('nan')]]), 'not finite'),
        (dict(img_path='images/x.png', points=[[1, 1e300]]), 'not finite'),
        (dict(img_path='images/x.png', points=[[1, 2]], blur=[0.5]), 'blur are not whole'),
        (dict(img_path='images/x.png', points=[[1, 2]], blur=[1e30]), 'blur are not whole'),
        (dict(img_path='images/x.png', points=[[1, 2]], blur=[True]), 'blur are not numbers'),
        (dict(img_path='images/x.png', points=[], ori_shape=[True, 3]), r'ori_shape=\[True, 3\]'),
        (dict(img_path='images/x.png', points=[], split='dev'), "split='dev'"),
        (dict(img_path='images/x.png', points=[], attributes=3), 'attributes=3'),
        (dict(img_path='images/x.png', points=[], ori_shape=[3]), r'ori_shape=\[3\]'),
        (dict(img_path='images/x.png', points=[[1, 2]], blur=['a']), 'blur are not numbers'),
        (dict(img_path='images/x.png', points=[[1, 2]], boxes=[[1, 2]]), r'expected \(1, 4\)'),
        (dict(img_path='images/x.png', points=[[1, 2]], boxes=3), 'boxes'),
        (dict(img_path='images/x.png', points=3, boxes=[]), r'\(\), expected \(m, 2\)'),
        (dict(img_path='images/x.png', points=[[], []]), r'\(2, 0\), expected \(m, 2\)'),
    ],
)
def test_bad_entry_is_named(tmp_path, entry, message):
    root = write(tmp_path, [dict(img_path='images/0.png', points=[]), entry])
    with pytest.raises(ValueError, match=rf'annotations\.json: data_list\[1\].*{message}'):
        CrowdDataset(data_root=root, split='trainval')


@pytest.mark.parametrize('path', ['a\0.png', 'a\ud83d.png'])
def test_what_cannot_be_the_name_of_a_file(tmp_path, path):
    content = dict(data_list=[dict(img_path=path, points=[])])
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"data_list\[0\] .*img_path='a.*' cannot be the name"):
        CrowdDataset(data_root=str(tmp_path), split='test')


def test_training_images_are_divided_where_none_is_for_validation(tmp_path):
    data = images(12)
    data[3]['split'] = data[5]['split'] = 'test'
    root = write(tmp_path, data)
    splits = ('train', 'val', 'trainval', 'test')
    assert [len(CrowdDataset(data_root=root, split=s)) for s in splits] == [9, 1, 10, 2]


def test_nobody_and_no_boxes(tmp_path):
    root = write(tmp_path, [dict(img_path='images/a.png', points=[], boxes=[])])
    info = CrowdDataset(data_root=root, split='test').get_data_info(0)
    assert info['points'].shape == (0, 2) and info['boxes'].shape == (0, 4)


def test_all_that_may_be_known_of_heads(tmp_path):
    values = dict(points=[[1, 2], [3, 4]], sigmas=[[1, 2], [3.5, 4]], occlusion=[1, 3], blur=[0, 1])
    root = write(tmp_path, [dict(img_path='images/a.png', ori_shape=[40, 60], **values)])
    info = CrowdDataset(data_root=root, split='test').get_data_info(0)
    for key, wanted in values.items():
        assert info[key].tolist() == wanted
    assert info['sigmas'].dtype == np.float32 and info['blur'].dtype == np.int64
    # The image is a copy of half the size: truth and predictions are of the one it was made from.
    sample = PackCrowdInputs()(LoadCrowdImage()(info))['data_samples']
    assert sample.ori_shape == (40, 60) and sample.img_shape == (20, 30)
    assert to_original_frame(np.float32([[1, 2]]), sample.metainfo).tolist() == [[2.5, 4.5]]


def test_images_that_nobody_has_annotated(tmp_path):
    root = write(tmp_path, [dict(img_path='images/a.png', points=None)])
    assert 'points' not in CrowdDataset(data_root=root, split='test').get_data_info(0)


def test_problems_without_raising(tmp_path):
    entries = [dict(img_path='images/a.png', points=[[1, 2, 3]]), dict(img_path='images/b.png')]
    dataset = CrowdDataset(data_root=write(tmp_path, entries), split='test', lazy_init=True)
    messages = sorted(str(problem) for problem in dataset.find_problems())
    assert len(messages) == 2 and 'data_list[0]' in messages[0] and 'data_list[1]' in messages[1]
    assert [Path(path).name for path in dataset.image_paths()] == ['a.png']
    dataset = CrowdDataset(data_root=str(tmp_path / 'nowhere'), lazy_init=True)
    assert ['no annotation file' in str(problem) for problem in dataset.find_problems()] == [True]


def test_metainfo_of_the_config_goes_first(tmp_path):
    root = write(tmp_path, images(1), metainfo=dict(dataset_name='file', place='here'))
    dataset = CrowdDataset(data_root=root, metainfo=dict(place='there'))
    assert dataset.metainfo['place'] == 'there'
    root = write(tmp_path, images(1), metainfo=['x'])
    with pytest.raises(ValueError, match='"metainfo"'):
        CrowdDataset(data_root=root)


def test_data_prefix_is_refused(tmp_path):
    with pytest.raises(TypeError, match='data_prefix'):
        CrowdDataset(data_root=write(tmp_path, images(1)), data_prefix=dict(img='x'))


def test_duplicate_ids(tmp_path):
    root = write(tmp_path, images(2, img_id='same'))
    with pytest.raises(ValueError, match=r"unique.*\['same'\]"):
        CrowdDataset(data_root=root)


@pytest.mark.parametrize('text', ['{', '[]', '{"data_list": 3}'])
def test_not_our_format(tmp_path, text):
    (tmp_path / 'annotations.json').write_text(text)
    with pytest.raises(ValueError, match=r'annotations\.json: '):
        CrowdDataset(data_root=str(tmp_path))


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'annotations\.json'):
        CrowdDataset(data_root=str(tmp_path))
    root = write(tmp_path, images(1))
    (tmp_path / 'images' / '0.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'0\.png'):
        CrowdDataset(data_root=root)
