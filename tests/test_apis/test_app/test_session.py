"""What the page does, without a page."""

import base64
import json
import sys

import cv2
import numpy as np
import pytest

from mmcrowd.apis.app.models import Counters, choices
from mmcrowd.apis.app.session import MAXIMA, Limits, PointRule, Session
from mmcrowd.apis.zoo import find_entry
from mmcrowd.datasets import SyntheticCrowdDataset
from mmcrowd.models.localizers import LocalMaximum

RULE = PointRule()


@pytest.fixture(scope='module')
def counter():
    return Counters(choices(), 'cpu').get(choices()[0].title)


@pytest.fixture
def session(counter, tmp_path):
    """A visitor with two pictures, of which the second is shown."""
    session = Session()
    dataset = SyntheticCrowdDataset(num_images=2, split='test', img_size=(96, 64))
    for number in range(2):
        path = tmp_path / f'{number}.png'
        cv2.imwrite(str(path), dataset.get_data_info(number)['img'])
        session.add(path, r'C:\photos\gate.png', counter, 'm', RULE, Limits())
    return session


def test_names_are_unique(session):
    assert [picture.name for picture in session.pictures] == ['gate', 'gate-2']
    assert session.current is session.pictures[1]
    assert [row['shown'] for row in session.rows()] == [False, True]


def test_remove(session):
    second = session.pictures[1]
    # Twice by someone who has not seen yet that it is gone.
    for _ in range(2):
        session.remove('gate')
        assert session.current is second and second.path.exists()
    session.choose('gate')
    assert session.current is second
    session.remove('gate-2')
    assert session.current is None and session.rows() == []
    with pytest.raises(ValueError, match='no picture to save'):
        session.export('json', None)


def test_zones_that_part_a_picture_share_its_count(session):
    picture = session.current
    halves = [
        dict(name='left', polygon=[[0, 0], [40.5, 0], [40.5, 64], [0, 64]]),
        dict(name='right', polygon=[[40.5, 0], [96, 0], [96, 64], [40.5, 64]]),
    ]
    picture.set_zones(halves)
    counts = [zone['count'] for zone in picture.answer()['zones']]
    assert sum(counts) == pytest.approx(picture.sample.pred_count, abs=1e-6)
    assert picture.answer()['zones'][1]['polygon'] == halves[1]['polygon']
    with pytest.raises(ValueError, match="zone 'bow' crosses or touches itself"):
        picture.set_zones([dict(name='bow', polygon=[[0, 0], [9, 9], [9, 0], [0, 9]])])
    assert [zone['count'] for zone in picture.answer()['zones']] == counts
    picture.set_zones([])
    assert 'zones' not in picture.prediction and picture.answer()['zones'] == []


def test_points_are_taken_again_from_the_density(session):
    picture = session.current
    own = picture.answer()['points']
    density = picture.sample.pred_density.density[0]
    picture.set_zones([dict(name='all', polygon=[[0, 0], [96, 0], [96, 64], [0, 64]])])
    for threshold in (0.02, 0.2):
        picture.locate(PointRule(MAXIMA, threshold))
        expected, _ = LocalMaximum(threshold=threshold)(density, picture.sample.density_stride)
        answer = picture.answer()
        assert np.allclose(answer['points'], expected, atol=0.01)
        assert answer['zones'][0]['num_points'] == len(expected)
    picture.locate(RULE)
    assert picture.answer()['points'] == own


def test_another_model_keeps_zones(session, counter):
    zone = dict(name='part', polygon=[[0, 0], [40, 0], [40, 60]])
    session.current.set_zones([zone])
    before = [picture.answer() for picture in session.pictures]
    session.pictures[0].path.unlink()
    problems = list(session.count_again(counter, 'other', RULE, Limits()))
    assert 'gate: the file was removed after 60 minutes' in problems[0] and problems[1] == ''
    after = [picture.answer() for picture in session.pictures]
    assert after[0] == before[0]
    assert after[1]['model'] == 'other' and after[1]['zones'] == before[1]['zones']


def test_a_picture_that_is_removed_while_all_are_counted_again(session, counter):
    path = session.current.path
    session.add(path, 'other.png', counter, 'm', RULE, Limits())
    counts = [picture.answer()['count'] for picture in session.pictures]
    again = session.count_again(counter, 'other', RULE, Limits())
    next(again)
    session.remove('gate')
    assert list(again) == ['', '']
    assert [picture.name for picture in session.pictures] == ['gate-2', 'other']
    assert [picture.answer()['count'] for picture in session.pictures] == counts[1:]
    assert all(picture.model == 'other' for picture in session.pictures)


def test_a_strip(counter, tmp_path):
    cv2.imwrite(str(tmp_path / 'strip.png'), np.zeros((2, 700, 3), np.uint8))
    counted = Session().add(tmp_path / 'strip.png', 'strip', counter, 'm', RULE, Limits())
    header, _, content = counted.layers['thumb'].partition(',')
    thumb = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert header == 'data:image/jpeg;base64' and thumb.shape == (1, 96, 3)


def test_prediction_is_that_of_the_inferencer(session, counter):
    picture = session.current
    expected = counter(str(picture.path))['predictions'][0]
    name, content = session.export('json', counter)
    assert name == 'gate-2.json'
    assert json.loads(content) == dict(expected, name='gate-2', img_path=None)
    with pytest.raises(ValueError, match="kind='exe', expected picture, json, csv or zones"):
        session.export('exe', counter)


@pytest.mark.parametrize(
    'limits, message',
    [
        (Limits(file_bytes=2), 'gate.png: .* MB, expected at most 2e-06 MB'),
        (Limits(pixels=6143), 'gate.png: 96 x 64 pixels, expected at most 0.006143 million'),
        (Limits(pictures=2), 'gate.png: there are 2 pictures already'),
    ],
)
def test_limits(session, counter, limits, message):
    path = session.current.path
    with pytest.raises(ValueError, match=message):
        session.add(path, 'gate.png', counter, 'm', RULE, limits)
    assert len(session.pictures) == 2


def test_heic_where_it_is_not_read(session, counter, tmp_path, monkeypatch):
    """The visitor is not told what to install."""
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    (tmp_path / 'IMG_1.HEIC').write_bytes(b'\0\0\0\x18ftypheic' + bytes(40))
    limits = Limits(heic=False)
    with pytest.raises(ValueError, match='^IMG_1.HEIC: HEIC is not read here; expected JPEG, PNG'):
        session.add(tmp_path / 'IMG_1.HEIC', 'IMG_1.HEIC', counter, 'm', RULE, limits)


def test_choices():
    default = find_entry('default').name
    assert choices()[0].title == default
    assert all(find_entry(choice.model).is_here for choice in choices())
    first, second = choices('mmcrowd::pml_vgg16_shb', 'mine.pth')[:2]
    assert first[1:3] == ('mmcrowd::pml_vgg16_shb', 'mine.pth') and second.title == default
    options = {'model.inference.crop_size': 1024}
    first, *others = choices(cfg_options=options)
    assert first.cfg_options == options and all(each.cfg_options is None for each in others)
    with pytest.raises(ValueError, match="no model 'other' on this page"):
        Counters(choices()).get('other')
