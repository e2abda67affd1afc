"""The page of ``mmcrowd app`` in a browser, with the default model."""

import csv
import json
import os
import re
import socket
import stat
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmcrowd.apis import CrowdInferencer
from mmcrowd.apis.app.models import Counters, choices
from mmcrowd.apis.app.session import THRESHOLD, Limits
from mmcrowd.apis.zones import read_zones
from mmcrowd.datasets import SyntheticCrowdDataset
from tests.testing.browsers import MINUTES, open_browser

if find_spec('gradio') is None and not os.environ.get('MMCROWD_REQUIRE_DATA'):
    pytest.skip('gradio is not installed', allow_module_level=True)
from mmcrowd.apis.app.server import serve

LIMITS = Limits(file_bytes=1_000_000, pixels=3_000_000)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    dataset = SyntheticCrowdDataset(num_images=2, split='test', img_size=(256, 192))
    for number, name in enumerate(('gate.png', 'square.png')):
        cv2.imwrite(str(folder / name), dataset.get_data_info(number)['img'])
    return folder


@pytest.fixture(scope='module')
def counters():
    default = choices()[0]
    return Counters([default, default._replace(title='The same again')], 'cpu')


@pytest.fixture(scope='module')
def truth(counters, photos):
    """Function that counts a photo as ``CrowdInferencer`` does."""
    counter = counters.get(choices()[0].title)

    def count(name, **kwargs):
        return counter(str(photos / name), **kwargs)['predictions'][0]

    return count


@pytest.fixture(scope='module')
def url(counters):
    with serve(counters, limits=LIMITS) as url:
        folder = Path(os.environ['GRADIO_TEMP_DIR'])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        yield url
    assert not folder.exists()
    assert 'GRADIO_TEMP_DIR' not in os.environ


@pytest.fixture(scope='module')
def browser(url):
    camera = ('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream')
    with open_browser(*camera) as browser:
        yield browser


class Visitor:
    """What a person does with the page; it keeps what the browser asks for and complains of."""

    def __init__(self, browser, url):
        self.page = browser.new_page(viewport=dict(width=1300, height=1200))
        self.page.set_default_timeout(10 * MINUTES)
        self.requests, self.complaints = [], []
        self.page.on('console', lambda each: self.complaints.append(f'{each.type}: {each.text}'))
        self.page.on('pageerror', lambda error: self.complaints.append(str(error)))
        self.page.on('request', lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector('.result .empty')

    def add(self, *files):
        rows = len(self.rows())
        self.page.set_input_files('.drop input', [str(file) for file in files])
        self.wait(f'document.querySelectorAll(".pictures tbody tr").length == {rows + len(files)}')

    def wait(self, condition):
        self.page.wait_for_function(f'() => {condition}')

    def wait_for_name(self, name):
        self.page.wait_for_selector(f'.about .name:text-is("{name}")')

    def text(self, selector):
        return self.page.inner_text(selector)

    def rows(self, table='.pictures tbody'):
        rows = self.page.locator(f'{table} tr').all()
        return [
            [row.locator(cell).inner_text() for cell in ('.link', '.num strong')] for row in rows
        ]

    def draw(self, *corners):
        self.page.click('.draw')
        box = self.page.locator('.sheet').bounding_box()
        for number, (x, y) in enumerate(corners):
            # A pause between clicks, which would otherwise be a double click.
            place = dict(x=x * box['width'], y=y * box['height'])
            self.page.locator('.sheet').dispatch_event(
                'click',
                dict(clientX=box['x'] + place['x'], clientY=box['y'] + place['y'], detail=1),
            )
            assert self.page.locator('.sketch circle').count() == number + 1
        self.page.click('.finish')

    def zones(self):
        """Name, people and points of each zone, as in the table."""
        return [
            [row.locator('input').input_value(), *row.locator('.num').all_inner_texts()[:2]]
            for row in self.page.locator('.zone-table tbody tr').all()
        ]

    def save(self, kind):
        with self.page.expect_download() as download:
            self.page.click(f'[data-kind={kind}]')
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.fixture(scope='module')
def visitor(browser, url):
    visitor = Visitor(browser, url)
    yield visitor
    visitor.page.close()


def shown(count):
    return f'{count:.1f}' if count < 10 else f'{count:.0f}'


def test_count_and_layers(visitor, photos, truth):
    page, expected = visitor.page, truth('gate.png')
    visitor.add(photos / 'gate.png')
    visitor.wait_for_name('gate')
    assert visitor.text('.count') == shown(expected['count'])
    assert f'{len(expected["points"])} points · 256 × 192 px' in visitor.text('.facts')
    assert 'test MAE' in visitor.text('.model')
    # Dots at the points, on a scale of pixels of the photo.
    assert page.locator('.marks').get_attribute('viewBox') == '-0.5 -0.5 256 192'
    drawn = re.findall(r'M([\d.]+) ([\d.]+)h0', page.locator('.points.over').get_attribute('d'))
    assert np.array_equal(np.array(drawn, float), expected['points'])
    sizes = page.eval_on_selector_all('.sheet img', 'all => all.map(each => each.naturalWidth)')
    assert sizes == [640, 640]

    # The layers change in the browser: nothing is asked of the server.
    visitor.requests.clear()
    style = "name => getComputedStyle(document.querySelector('.sheet .density'))[name]"
    assert page.evaluate(style, 'opacity') == '0.6'
    page.fill('.opacity', '25')
    assert page.evaluate(style, 'opacity') == '0.25' and visitor.text('.percent') == '25 %'
    assert page.locator('.points.over').is_visible()
    page.uncheck('.show-points')
    assert not page.locator('.points.over').is_visible()
    page.check('.show-points')
    assert page.locator('.points.over').is_visible()
    assert visitor.requests == []


def test_zones(visitor, truth):
    # Few people, whose number the page shows with a digit behind the point.
    quarter = [[0, 0], [128, 0], [128, 96], [0, 96]]
    zones = dict(width=256, height=192, zones=[dict(name='Zone 1', polygon=quarter)])
    (expected,) = truth('gate.png', zones=zones)['zones']
    visitor.draw((0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5))
    visitor.wait('document.querySelectorAll(".zone-table tbody tr").length == 1')
    # A click is within half a pixel of the corner, of which there is less than a person.
    ((name, count, points),) = visitor.zones()
    assert name == 'Zone 1' and float(count) == pytest.approx(expected['count'], abs=0.3)
    assert abs(int(points) - expected['num_points']) <= 1

    visitor.page.fill('.zone-table input', 'A quarter')
    visitor.page.press('.zone-table input', 'Enter')
    visitor.page.wait_for_selector('.zones text:has-text("A quarter:")')
    visitor.draw((0, 0), (1, 1), (1, 0), (0, 1))
    visitor.page.wait_for_selector('.problem:visible')
    assert "zone 'Zone 1' crosses or touches itself" in visitor.text('.problem')
    assert [name for name, *_ in visitor.zones()] == ['A quarter']


def test_saved_files(visitor, photos, truth, tmp_path):
    name, content = visitor.save('json')
    prediction = json.loads(content)
    (zone,) = prediction.pop('zones')
    assert name == 'gate.json' and zone['name'] == 'A quarter'
    assert prediction == dict(truth('gate.png'), img_path=None)

    name, content = visitor.save('zones')
    (tmp_path / name).write_bytes(content)
    assert name == 'gate_zones.json'
    # What the page saves is what the command line reads.
    (again,) = truth('gate.png', zones=read_zones(tmp_path / name))['zones']
    assert again == zone

    name, content = visitor.save('picture')
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert name == 'gate.png' and picture.shape[1] > 2 * 640
    # The outline of the zone, in the colour of truth, on the left of two panels.
    assert (picture[:, :640] == (255, 225, 0)).all(-1).sum() > 300


def test_several_pictures(visitor, photos, truth):
    page = visitor.page
    visitor.add(photos / 'square.png', photos / 'gate.png')
    expected = [truth(f'{name}.png')['count'] for name in ('gate', 'square', 'gate')]
    names = ['gate', 'square', 'gate-2']
    counts = [shown(count) for count in expected]
    assert visitor.rows() == [list(row) for row in zip(names, counts, strict=True)]
    assert visitor.text('.sum') == '3 pictures'
    assert visitor.text('.total') == shown(sum(expected))
    _, content = visitor.save('csv')
    lines = content.decode().splitlines()
    assert lines[0].startswith('name,img_path,width,height,count,points,notes,zones')
    gate, *others = csv.DictReader(lines)
    assert [zone['name'] for zone in json.loads(gate['zones'])] == ['A quarter']
    assert [row['zones'] for row in others] == ['', '']
    assert [line.split(',')[0] for line in lines[1:]] == names
    assert [float(line.split(',')[4]) for line in lines[1:]] == expected

    visitor.wait_for_name('gate-2')
    assert visitor.zones() == []
    page.click('.pictures tbody tr:first-child .link')
    visitor.wait_for_name('gate')
    assert len(visitor.zones()) == 1
    page.click('[aria-label="Remove gate-2"]')
    visitor.wait('document.querySelectorAll(".pictures tbody tr").length == 2')
    assert [name for name, _ in visitor.rows()] == ['gate', 'square']


def test_local_maxima(visitor, truth):
    """From the density that is there."""
    page = visitor.page
    counter = CrowdInferencer(
        device='cpu', localizer=dict(type='LocalMaximum', threshold=THRESHOLD), show_progress=False
    )
    image = np.ascontiguousarray(
        SyntheticCrowdDataset(num_images=2, split='test', img_size=(256, 192)).get_data_info(0)[
            'img'
        ]
    )
    expected = counter(image)['predictions'][0]['points']
    count = visitor.text('.count')
    page.click('text=Local maxima')
    page.wait_for_selector(f'.facts:has-text("{len(expected)} points")')
    page.wait_for_selector('#threshold:visible')
    drawn = re.findall(r'M([\d.]+) ([\d.]+)h0', page.locator('.points.over').get_attribute('d'))
    assert np.array_equal(np.array(drawn, float), expected)
    assert visitor.text('.count') == count


def test_another_model_counts_all_pictures_again(visitor):
    before, zones = visitor.rows(), visitor.zones()
    visitor.page.click('#model input')
    visitor.page.click('[role=option]:has-text("The same again")')
    visitor.page.wait_for_selector('.busy:has-text("Counting by The same again")')
    visitor.page.wait_for_selector('.busy', state='hidden')
    assert visitor.rows() == before and visitor.zones() == zones
    assert visitor.page.locator('.errors li').all_inner_texts() == []


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('text.jpg', b'no picture', r'text.jpg: not a readable image \(10 bytes\)'),
        ('empty.png', b'', 'empty.png: the file is empty'),
        ('large.png', bytes(1_200_000), 'large.png: 1.2 MB, expected at most 1 MB'),
        ('wide.png', None, 'wide.png: 2000 x 1501 pixels, expected at most 3 million'),
        ('table.csv', b'1,2', 'table.csv: text/csv, expected a picture'),
    ],
)
def test_bad_file(visitor, name, content, message, tmp_path):
    if content is None:
        content = cv2.imencode('.png', np.zeros((1501, 2000), np.uint8))[1].tobytes()
    (tmp_path / name).write_bytes(content)
    before = visitor.rows()
    visitor.page.set_input_files('.drop input', str(tmp_path / name))
    visitor.wait(f'document.querySelector(".errors").innerText.startsWith("{name}")')
    assert re.fullmatch(message, visitor.text('.errors'))
    assert visitor.page.locator('.busy').is_hidden()
    assert visitor.rows() == before


def test_camera(visitor):
    # A small picture: what a camera has is up to the camera.
    visitor.page.evaluate(
        """() => {
            const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            const video = { width: 320, height: 240 };
            navigator.mediaDevices.getUserMedia = () => real({ video });
        }"""
    )
    visitor.page.click('.open-camera')
    visitor.page.click('.shoot')
    visitor.wait('document.querySelectorAll(".pictures tbody tr").length == 3')
    assert visitor.rows()[-1][0].startswith('camera_')


def test_narrow_screen(visitor):
    page = visitor.page
    page.set_viewport_size(dict(width=390, height=844))
    visitor.wait('document.querySelector(".sheet").clientWidth < 390')
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    tops = [page.locator(f'#{name}').bounding_box()['y'] for name in ('add', 'result', 'side')]
    assert tops == sorted(tops)
    page.set_viewport_size(dict(width=1300, height=1200))


def test_no_request_leaves_the_machine(visitor, url, browser):
    """Nor does a new visitor see the pictures of another one."""
    assert visitor.complaints == []
    other = Visitor(browser, url)
    assert other.rows() == [] and other.text('.empty h2') == 'No picture yet'
    own = [each for each in other.requests if not each.startswith(('data:', 'blob:'))]
    assert len(own) > 5 and all(each.startswith(url) for each in own)
    assert all(each.startswith((url, 'data:', 'blob:')) for each in visitor.requests)
    assert other.complaints == []
    other.page.close()


def test_port_that_is_taken(counters):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f'cannot listen on 127.0.0.1:{port} .*--port'):
            with serve(counters, port=port):
                pass


def test_uploaded_files_live_so_long(counters):
    import httpx

    with serve(counters, limits=Limits(seconds=1)) as url:
        path = Path(httpx.post(f'{url}gradio_api/upload', files=dict(files=b'abc')).json()[0])
        assert path.is_file()
        httpx.get(url)  # with the first page the clock starts
        end = time.monotonic() + 60
        while path.is_file() and time.monotonic() < end:
            time.sleep(0.1)
        assert not path.exists()


def test_server_gives_no_file_and_fetches_none(url, photos):
    import httpx  # it comes with gradio

    hosts = dict(headers=dict(host='example.com'))
    assert httpx.get(url).status_code == 200
    assert httpx.get(url, **hosts).status_code == 403
    uploaded = httpx.post(f'{url}gradio_api/upload', files=dict(files=b'abc')).json()[0]
    assert Path(uploaded).read_bytes() == b'abc'
    for path in ('/etc/passwd', str(photos / 'gate.png'), uploaded):
        for route in ('gradio_api/file=', 'file=', 'gradio_api/file/', 'static/..', 'assets/../..'):
            assert httpx.get(f'{url}{route}{path}').status_code in (403, 404), route + path
    assert httpx.get(f'{url}gradio_api/proxy=http://127.0.0.1/').status_code == 404
    assert httpx.post(f'{url}gradio_api/run/count', json=dict(data=[])).status_code == 404
    fetched = dict(path=f'{url}config', meta=dict(_type='gradio.FileData'))
    event = dict(fn_index=1, session_hash='x', data=[None, fetched, None])
    assert httpx.post(f'{url}gradio_api/queue/join', json=event).status_code == 403
    large = httpx.post(f'{url}gradio_api/upload', files=dict(files=bytes(1_000_001)))
    assert large.status_code == 413


def test_files_that_were_not_uploaded_are_refused(visitor, photos):
    """A visitor who writes the path of a file of the machine into an event."""
    page, before = visitor.page, visitor.rows()
    with page.expect_request(re.compile('queue/join')) as joined:
        visitor.add(photos / 'square.png')
    event = joined.value.post_data_json
    event['event_data']['files'][0] = dict(file=str(photos / 'gate.png'), name='forged.png')
    page.click('.pictures tbody tr:last-child .icon')
    visitor.wait(f'document.querySelectorAll(".pictures tbody tr").length == {len(before)}')
    status = page.evaluate(
        """event => fetch('gradio_api/queue/join', {method: 'POST', body: JSON.stringify(event),
        headers: {'content-type': 'application/json'}}).then(answer => answer.status)""",
        event,
    )
    assert status == 200
    # The next one comes behind it in the queue.
    page.set_input_files('.drop input', str(photos / 'square.png'))
    visitor.wait('[...document.querySelectorAll(".link")].at(-1)?.innerText.startsWith("square")')
    names = [name for name, _ in visitor.rows()]
    assert len(names) == len(before) + 1 and 'forged' not in names
