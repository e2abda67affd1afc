import html
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.structures import InstanceData
from plotly.offline import get_plotlyjs

from mmcrowd.analysis.error_page import build_error_page
from mmcrowd.datasets.transforms import (
    LoadCrowdImage,
    PackCrowdInputs,
    RandomFlip,
    ResizeToLimits,
)
from mmcrowd.evaluation import LocalizationMetric, ResultsWriter
from mmcrowd.evaluation.image_errors import ImageErrors
from mmcrowd.evaluation.image_result import ImageResult, load_results
from mmcrowd.ops.heads import box_sigmas
from tests.testing.browsers import MINUTES, open_browser
from tests.testing.results import make_result


def random_results(num, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    points = [[rng.uniform(0, 200, (n, 2)) for n in rng.integers(1, 60, 2)] for _ in range(num)]
    return [make_result(f'IMG_{i}', *pair, **kwargs) for i, pair in enumerate(points)]


def build(results, **kwargs):
    """The page without plotly.js, which says NaN, null and much else."""
    page = build_error_page(results, **kwargs)
    library = get_plotlyjs()
    assert page.count(library) == 1
    page = page.replace(library, '')
    words = re.sub(r'[A-Za-z0-9+/=]{60,}', '', page)  # less the pictures
    assert not re.search(r'\b(nan|inf)\b|NaN|Infinity|\bNone\b(?! is shown)', words)
    assert page.count('<figure') == page.count('</figure>')
    return page


def numbers(page):
    """What the head of the page says."""
    return dict(re.findall(r'<dt>(.+?)</dt><dd>(.+?)</dd>', page))


def table(page):
    """Texts of the table, by row."""
    body = page[page.index('<tbody>') : page.index('</tbody>')]
    rows = [re.findall(r'<td.*?>(.*?)</td>', row) for row in body.split('<tr')[1:]]
    return [[html.unescape(re.sub('<.*?>', '', cell)) for cell in row] for row in rows]


def shown_ids(page):
    return [html.unescape(name) for name in re.findall(r'<strong>(.*?)</strong>', page)]


def graph_titles(page):
    return re.findall(r'<h3>(.*?)</h3>', page)


LEFT, MIDDLE, RIGHT = (10.0, 20.0), (50.0, 20.0), (90.0, 20.0)


def test_hand_computed():
    page = build(
        [
            make_result('a', [LEFT, MIDDLE, RIGHT], [(13.0, 24.0), (56.0, 20.0)]),  # 5 and 6 px
            make_result('b', [LEFT], [LEFT, MIDDLE, RIGHT]),
            make_result('c', [], [LEFT]),
            ImageResult(img_id='d', pred_count=7.25),
        ],
        radius=5,
    )
    assert numbers(page) == {
        'images': '4',
        'predicted': '6',
        'true': '4',
        'MAE': '1.33',
        'RMSE': '1.41',
        'NAE': '1.167',
        'bias': '+0.67',
        'precision': '0.3333',  # 2 of 6
        'recall': '0.5000',  # 2 of 4
        'F1': '0.4000',
    }
    assert table(page) == [
        ['b', '1', '3', '+2.0', '2', '+200.0 %', '1', '2', '0', '0.500'],
        ['a', '3', '2', '−1.0', '1', '−33.3 %', '1', '1', '2', '0.400'],
        ['c', '0', '1', '+1.0', '1', '–', '0', '1', '0', '0.000'],
        ['d', '–', '7.2', '–', '–', '–', '–', '–', '–', '–'],
    ]
    assert '1 of 4 images have no truth' in page
    assert 'over the 3 images with true and predicted points' in page
    assert '1 found · 2 missed · 1 false alarms · F1 0.400' in page
    assert numbers(build([make_result('a', [LEFT], [(16.0, 20.0)])], radius=6))['F1'] == '1.0000'


def test_no_zero_has_a_sign():
    counts = {'a': (10, 9.996), 'b': (0, -0.04), 'c': (0, -0.0)}
    page = build(
        [ImageResult(img_id=k, gt_count=gt, pred_count=pred) for k, (gt, pred) in counts.items()]
    )
    assert numbers(page)['bias'] == '−0.01'
    rows = {row[0]: row[1:6] for row in table(page)}
    assert rows == {
        'a': ['10', '10.0', '+0.0', '0.0', '+0.0 %'],
        'b': ['0', '0.0', '+0.0', '0.0', '–'],
        'c': ['0', '0', '+0.0', '0', '–'],
    }
    (below,) = [ImageResult(img_id='a', gt_count=0, pred_count=-0.3)]
    assert numbers(build([below]))['predicted'] == '0'


def test_radius_of_each_head():
    gt, pred = [LEFT, RIGHT], [(10.0, 26.0), (90.0, 26.0)]
    sigmas = [(3.0, 6.0), (6.0, 9.0)]
    f1 = [
        numbers(build([make_result('a', gt, pred, gt_sigmas=sigmas)], radius=radius))['F1']
        for radius in ('sigma_s', 'sigma_l')
    ]
    assert f1 == ['0.5000', '1.0000']
    # Half sides 4 and 6; a box needs no sigmas.
    boxes = [(6, 16, 14, 24), (84, 14, 96, 26)]
    page = build([make_result('a', gt, pred, gt_boxes=boxes)], radius='sigma_s')
    assert numbers(page)['F1'] == '0.5000'
    assert 'small radius σ_s of each head' in page


@pytest.mark.parametrize('radius', ['sigma_s', 'sigma_l', 8.0])
@pytest.mark.parametrize('known', ['boxes', 'sigmas', 'both'])
def test_page_and_metric_agree(known, radius, tmp_path):
    """Dense heads with boxes as in JHU-CROWD++ or sigmas as in NWPU-Crowd, in images that were
    reduced and mirrored; predictions between pixels; and the results through their file."""
    rng = np.random.default_rng(0)
    pipeline = Compose(
        [
            LoadCrowdImage(),
            ResizeToLimits(longest=217),
            RandomFlip(prob=1.0),
            PackCrowdInputs(),
        ]
    )
    samples = []
    for number in range(6):
        points = rng.integers(0, 400, (60, 2)).astype(np.float32)
        size = rng.integers(1, 40, (60, 2)).astype(np.float32)
        boxes = np.concatenate([points - size / 2, points + size / 2], 1)
        truth = dict(points=points)
        if known != 'sigmas':
            truth['boxes'] = boxes
        if known != 'boxes':
            truth['sigmas'] = box_sigmas(boxes).astype(np.float32)
        image = dict(img=np.zeros((400, 400, 3), np.uint8), img_id=f'IMG_{number}', **truth)
        sample = pipeline(image)['data_samples']
        pred = points[: 50 + number] + rng.normal(0, size[: 50 + number] / 4)
        pred[:9] = points[:9] + size[:9] / 2  # often just as far as the radius, to a half
        sample.pred_instances = InstanceData(points=torch.from_numpy(pred).float())
        sample.pred_count = float(len(pred))
        samples.append(sample.to_dict())

    metric = LocalizationMetric(radius)
    metric.process(None, samples)
    tp = sum(result.tp[0] for result in metric.results)
    num_gt = sum(result.num_gt for result in metric.results)
    dump = ResultsWriter(out_file=str(tmp_path / 'results.json'))
    dump.process(None, samples)
    dump.compute_metrics(dump.results)
    results = load_results(tmp_path / 'results.json')
    page = build(results, radius=radius)
    rows = {row[0]: [int(cell) for cell in row[6:9]] for row in table(page)}
    for number, result in enumerate(metric.results):
        found = int(result.tp.sum())
        assert rows[result.img_id] == [found, result.num_pred - found, 60 - found], number
    if known != 'sigmas':
        levels = np.concatenate([result.head_levels() for result in results])
        found = np.concatenate([ImageErrors(result, radius).found for result in results])
        assert np.bincount(levels, minlength=6).tolist() == num_gt.tolist()
        assert np.bincount(levels[found], minlength=6).tolist() == tp.tolist()
    f1 = metric.compute_metrics(metric.results)[f'F1@{radius if radius != 8.0 else 8}']
    assert numbers(page)['F1'] == f'{f1:.4f}'


def test_graphs_depend_on_what_is_known():
    counting = [
        'Predicted against true count',
        'MAE by true count',
        'Relative error by true count',
    ]
    radius = 'Precision, recall and F1 by radius'
    spacing = 'Recall by distance to the nearest neighbour'
    size = 'Recall by size of the head'
    results = random_results(6)
    assert graph_titles(build(results)) == [*counting, radius, spacing]

    results[0].gt_sigmas = np.full((len(results[0].gt_points), 2), 5.0)
    assert graph_titles(build(results)) == [*counting, radius, size, spacing]

    for number, result in enumerate(results):
        result.pred_points = None
        result.attributes = dict(weather=number % 2, scene='<street>', seed=number)
    # One value and a value for each image tell no groups apart.
    assert graph_titles(build(results)) == [*counting, 'MAE by weather']
    # Nor does one that only repeats the classes by count.
    results[1].gt_count = results[2].gt_count = 101
    for number, result in enumerate(results):
        result.attributes['level'] = int(number in (1, 2))
    assert graph_titles(build(results)) == [*counting, 'MAE by weather']
    results[0].attributes['scene'] = 'park & lake'
    assert graph_titles(build(results)) == [*counting, 'MAE by weather', 'MAE by scene']


def test_counts_alone():
    results = random_results(3)
    for result in results:
        result.pred_points = None
    page = build(results)
    assert 'F1' not in numbers(page)
    assert page.count('class="marks truth"') == 3 and 'class="marks hit"' not in page
    assert {row[-1] for row in table(page)} == {'–'}
    assert 'value="f1"' not in page
    for result in results:
        result.gt_points = None
    assert 'class="marks' not in build(results)


@pytest.mark.parametrize(
    'result',
    [
        make_result('nobody', [], []),
        make_result('unseen', [LEFT], []),
        make_result('invented', [], [LEFT]),
        make_result('same place', [LEFT, LEFT], [LEFT]),
        make_result('outside', [(-5.0, 1e4)], [(-5.0, 1e4)], ori_shape=(40, 60)),
        ImageResult(img_id='no truth', pred_count=0.3),
        ImageResult(img_id='count', pred_count=0.3, gt_count=2),
        ImageResult(img_id='below zero', pred_count=-0.3, gt_count=0),
    ],
    ids=lambda result: result.img_id,
)
def test_one_image(result):
    page = build([result])
    assert len(table(page)) == 1
    assert shown_ids(page) == ([] if result.gt_count is None else [result.img_id])
    assert shown_ids(build([result], worst=0)) == []


def test_names_are_escaped():
    name = '<script>alert("a")</script>&amp;'
    result = make_result(name, [LEFT], [LEFT], path=f'/no/{name}.jpg', attributes={name: name})
    other = make_result('b', [LEFT], [LEFT], attributes={name: '<b>'})
    page = build([result, other] * 2, title=name)
    assert '<script>alert' not in page and '<b>' not in page
    assert name in shown_ids(page)
    assert name in [row[0] for row in table(page)]
    assert re.findall('<h1>(.*)</h1>', html.unescape(page)) == [name]


def test_worst_images_are_taken_in_turns():
    far = (500.0, 500.0)
    results = [
        make_result('all wrong', [LEFT], [far]),
        make_result('six too many', [LEFT] * 30, [LEFT] * 36),
        make_result('double', [LEFT], [LEFT] * 2),
        make_result('right', [LEFT], [LEFT]),
        make_result('five too few', [LEFT] * 30, [LEFT] * 25),
    ]
    assert shown_ids(build(results, worst=1)) == ['six too many']
    assert set(shown_ids(build(results, worst=3))) == {'six too many', 'double', 'all wrong'}
    # Then five too few is the next by absolute error.
    assert 'right' not in shown_ids(build(results, worst=4))
    page = build(results)
    assert len(shown_ids(page)) == 5
    assert [row[4] for row in table(page)] == ['6', '5', '1', '0', '0']


def corners(page, kind):
    (points,) = re.findall(rf'class="marks {kind}" points="(.*?)"', page)
    return [tuple(map(float, corner.split(','))) for corner in points.split()]


def test_marks_lie_on_the_picture(tmp_path):
    path = tmp_path / 'wide.jpg'
    cv2.imwrite(str(path), np.full((1000, 1800, 3), 128, np.uint8))
    gt, pred = [(99.5, 199.5), (1799.5, 999.5)], [(100.0, 200.0), (19.5, 39.5)]
    page = build([make_result('a', gt, pred, path=str(path))])
    assert corners(page, 'hit') == [(50, 100)]
    assert corners(page, 'miss') == [(900, 500)]
    assert corners(page, 'false') == [(10, 20)]
    assert 'viewBox="0 0 900.0 500.0"' in page


def test_pictures_may_be_elsewhere_or_nowhere(tmp_path):
    picture = np.full((30, 40, 3), 128, np.uint8)
    for name in ('a.jpg', 'b.jpg'):
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    results = [
        make_result('a', [LEFT], [LEFT], path='/gone/a.jpg'),
        make_result('b', [LEFT], [LEFT]),
        make_result('c', [LEFT], [LEFT], path='/gone/c.jpg'),
        make_result('d', [LEFT], [LEFT], path=str(tmp_path / 'broken.jpg')),
    ]
    page = build(results)
    assert '4 of the 4 worst images could not be read' in page
    assert page.count('<img') == 0
    assert 'No picture: no image file /gone/c.jpg' in page
    assert 'No picture: the result names no image file' in page
    assert re.search(r'No picture: .*broken\.jpg: not a readable image', page)
    page = build(results, image_root=tmp_path)
    assert '2 of the 4 worst images could not be read' in page
    assert page.count('<img src="data:image/jpeg;base64,') == 2


def test_pictures_of_one_name_in_several_folders(tmp_path):
    aspects = {}
    for name, size in (('cam1', (30, 40)), ('cam2', (40, 20)), ('.', (10, 90))):
        (tmp_path / name).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name / '1.jpg'), np.full((*size, 3), 128, np.uint8))
        aspects[name] = f'--aspect:{900 * size[1] / max(size):.1f}/{900 * size[0] / max(size):.1f}'
    results = [
        make_result('cam1/1', [], [LEFT], path='/gone/images/cam1/1.jpg'),
        make_result('cam2/1', [], [LEFT], path='D:\\images\\cam2\\1.jpg'),
        make_result('cam3/1', [], [LEFT], path='/gone/images/cam3/1.jpg'),
    ]
    page = build(results, image_root=tmp_path)
    assert all(aspect in page for aspect in aspects.values())
    assert page.count('Picture found by its name alone') == 1  # the third
    # An image of another size is another image.
    results[2].ori_shape = (10, 91)
    page = build(results, image_root=tmp_path)
    assert '1.jpg has the name alone, and another size' in page
    assert 'Picture found by its name alone' not in page


@pytest.mark.parametrize(
    'results, kwargs, message',
    [
        ([], {}, 'holds no image'),
        ([make_result('a', [], [])], dict(radius=0.0), r'radius is 0\.0, expected pixels > 0'),
        ([make_result('a', [], [])], dict(radius=float('nan')), 'radius is nan'),
        ([make_result('a', [], [])], dict(radius='sigma'), "'sigma', .* sigma_s, sigma_l"),
        ([make_result('a', [], [])], dict(worst=-1), 'worst is -1'),
        ([make_result('a', [LEFT], [])], dict(radius='sigma_l'), "'a' has neither gt_sigmas"),
        ([ImageResult(img_id='a', pred_count=float('nan'))], {}, "'a': pred_count is nan"),
        ([make_result('a', [(np.inf, 1)], [])], {}, "'a': gt_points has a value"),
        ([make_result('a', [], [(np.nan, 1)])], {}, "'a': pred_points has a value"),
        ([make_result('a', [LEFT], [], gt_levels=[6])], {}, r"'a': gt_levels are \[6\]"),
    ],
)
def test_bad_input(results, kwargs, message):
    with pytest.raises(ValueError, match=message):
        build_error_page(results, **kwargs)


# --- In a browser


@pytest.fixture(scope='module')
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope='module')
def opened(browser, tmp_path_factory):
    """The page of a few images, and what the browser complained of or asked for."""
    folder = tmp_path_factory.mktemp('page')
    picture = folder / 'grey.jpg'
    cv2.imwrite(str(picture), np.full((300, 600, 3), 128, np.uint8))
    results = random_results(11, path=str(picture), gt_levels=None)
    gt, pred = [(100.0, 100.0), (300.0, 100.0)], [(101.0, 100.0), (500.0, 200.0)]
    results += [
        make_result('three <marks>', gt, pred, path=str(picture), attributes=dict(fog=1)),
        ImageResult(img_id='no truth', pred_count=3.5),
        make_result('nobody', [], [], attributes=dict(fog=0)),
    ]
    file = folder / 'errors.html'
    file.write_text(build_error_page(results), encoding='utf-8')
    page = browser.new_page(viewport=dict(width=1200, height=900))
    page.set_default_timeout(10 * MINUTES)
    complaints, requests = [], []
    page.on('console', lambda message: complaints.append(f'{message.type}: {message.text}'))
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.on('request', lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector('.plotly-graph-div .main-svg')
    yield page, complaints, requests
    page.close()


def test_browser_draws_everything_offline(opened):
    page, complaints, requests = opened
    drawn = page.eval_on_selector_all(
        '.plotly-graph-div', 'all => all.map(one => one.querySelectorAll("svg.main-svg").length)'
    )
    assert len(drawn) == 6 and min(drawn) >= 1
    assert page.locator('.plotly-graph-div').first.locator('.scatterlayer .point').count() == 13
    widths = page.eval_on_selector_all('.view img', 'all => all.map(one => one.naturalWidth)')
    assert widths == [600] * 12
    assert complaints == []
    assert requests and all(url.startswith(('file:', 'data:')) for url in requests)


def test_graphs_fill_their_panels(opened):
    """Also those that were drawn before the panels beside them, and when the window changes."""
    page, _, _ = opened
    for width in (1200, 700, 1200):
        page.set_viewport_size(dict(width=width, height=900))
        page.wait_for_function(
            """() => Array.from(document.querySelectorAll('.plotly-graph-div')).every(graph =>
            Math.abs(graph.clientWidth - graph.querySelector('.main-svg').clientWidth) <= 1)"""
        )


def column(page, heading):
    """The heading's state, and the values below it as the table shows them."""
    place = [th.inner_text().strip() for th in page.locator('thead th').all()].index(heading)
    order = page.locator('thead th').nth(place).get_attribute('aria-sort')
    values = page.eval_on_selector_all(
        'tbody tr', f'rows => rows.map(row => row.cells[{place}].dataset.value)'
    )
    return order, values


def test_headings_sort_the_table(opened):
    page, *_ = opened
    for heading, orders in (
        ('Predicted', ('descending', 'ascending')),
        ('Error', ('descending', 'ascending')),
        ('F1', ('ascending', 'descending')),
    ):
        for order in orders:
            page.get_by_role('button', name=heading, exact=True).click()
            state, values = column(page, heading)
            numbers = [float(value) for value in values if value]
            assert state == order
            assert numbers == sorted(numbers, reverse=order == 'descending')
            # What is missing stays at the end.
            assert all(values[: len(numbers)]) and not any(values[len(numbers) :])
    assert page.locator('thead th[aria-sort$="scending"]').count() == 1

    page.get_by_role('button', name='Image', exact=True).click()
    _, names = column(page, 'Image')
    assert [name for name in names if name.startswith('IMG')] == [f'IMG_{i}' for i in range(11)]


def find_color(page, color):
    """Centre of what has this colour in the view of the image with three marks, from 0 to 1."""
    view = page.locator('figure', has_text='three <marks>').locator('.view')
    picture = cv2.imdecode(np.frombuffer(view.screenshot(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    rows, cols = np.nonzero((np.abs(picture.astype(int) - color) < 40).all(axis=2))
    if len(rows) == 0:
        return None
    return (cols.mean() + 0.5) / picture.shape[1], (rows.mean() + 0.5) / picture.shape[0]


def test_marks_are_seen_and_can_be_hidden(opened):
    page, *_ = opened
    for kind, color, place in (
        ('hit', (0x56, 0xB4, 0xE9), (100.5 / 600, 100.5 / 300)),
        ('miss', (0xF0, 0xE4, 0x42), (300.5 / 600, 100.5 / 300)),
        ('false', (0xFF, 0x6A, 0x13), (500.5 / 600, 200.5 / 300)),
    ):
        assert find_color(page, color) == pytest.approx(place, abs=0.01)
        box = page.locator(f'.controls input[value="{kind}"]')
        box.uncheck()
        assert find_color(page, color) is None
        box.check()


def test_worst_images_can_be_ordered_and_enlarged(opened):
    page, *_ = opened
    for key, sign in (('relative', -1), ('f1', 1), ('absolute', -1)):
        page.select_option('#order', key)
        values = page.eval_on_selector_all(
            'figure', f'all => all.map(one => one.dataset.{key}).filter(one => one !== "")'
        )
        values = [sign * float(value) for value in values]
        assert len(values) >= 12 and values == sorted(values)
    figure = page.locator('figure').first
    narrow = figure.bounding_box()['width']
    figure.get_by_role('button').click()
    assert figure.bounding_box()['width'] > 1.5 * narrow
    figure.get_by_role('button', name='Reduce').click()
    assert figure.bounding_box()['width'] == narrow


def test_graph_changes_axes_and_leads_to_the_row(opened):
    page, complaints, _ = opened
    kind = 'document.querySelector(".plotly-graph-div").layout.xaxis.type'
    assert page.evaluate(kind) == 'linear'
    page.locator('.updatemenu-button', has_text='log').click()
    page.wait_for_function(f'{kind} === "log"')
    page.evaluate(
        'document.querySelector(".plotly-graph-div")'
        '.emit("plotly_click", { points: [{ customdata: [7, "IMG_7", "1", "2"] }] })'
    )
    assert page.locator('tr.chosen td').first.inner_text() == 'IMG_7'
    assert complaints == []
