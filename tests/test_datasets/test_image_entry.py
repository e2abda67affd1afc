import pytest

from mmcrowd.datasets import ImageEntry


def test_mapping_of_what_it_has():
    entry = ImageEntry('a.jpg', 'a', annotation={}, extra=dict(camera=3))
    assert dict(entry) == dict(img_path='a.jpg', img_id='a', annotation={}, attributes={}, camera=3)
    assert entry['camera'] == 3 and 'ann_path' not in entry and entry.get('size') is None
    with pytest.raises(KeyError):
        entry['ann_path']


def test_made_of_a_mapping():
    given = dict(img_path='a.jpg', img_id='a', ann_path='a.txt', num_points=4, camera=3)
    entry = ImageEntry.from_dict(given)
    assert entry.num_points == 4 and entry.extra == dict(camera=3)
    assert ImageEntry.from_dict(entry) is entry
    with pytest.raises(TypeError, match='img_id'):
        ImageEntry.from_dict(dict(img_path='a.jpg'))


def test_what_the_dataset_returns():
    entry = ImageEntry(
        'a.jpg',
        'a',
        ann_path='a.txt',
        attributes=dict(scene='street'),
        num_points=4,
        ori_shape=(9, 8),
        split='val',
        extra=dict(camera=3),
    )
    assert entry.to_data_info(dict(points=[])) == dict(
        img_path='a.jpg',
        img_id='a',
        ann_path='a.txt',
        attributes=dict(scene='street'),
        ori_shape=(9, 8),
        camera=3,
        points=[],
    )


def test_name_of_the_annotation():
    assert ImageEntry('a.jpg', 'a').where() == 'a.jpg'
    assert ImageEntry('a.jpg', 'a', ann_path='a.txt').where() == 'a.txt'
    assert ImageEntry('a.jpg', 'a', ann_path='a.txt', source='a.txt: [3]').where() == 'a.txt: [3]'
