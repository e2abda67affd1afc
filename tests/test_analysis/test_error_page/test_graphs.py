import numpy as np
import pytest

from mmcrowd.analysis.error_page.graphs import (
    count_scatter,
    error_bars,
    radius_curves,
    recall_bars,
    relative_boxes,
    to_html,
)


def sources(n):
    return [(i, f'IMG_{i}', '1', '2') for i in range(n)]


def test_scatter_has_both_kinds_of_axes():
    pred, gt = np.array([0.0, 30.0, 5.0]), np.array([0.0, 20.0, 7.0])
    figure = count_scatter(pred, gt, sources(3))
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == 'linear'
    assert list(figure.data[1].x) == gt.tolist() and list(figure.data[1].y) == pred.tolist()
    assert list(figure.data[0].x) == list(figure.data[0].y) == [0, 31.5]
    log, linear = (button.args for button in figure.layout.updatemenus[0].buttons)
    assert log[0] == dict(x=[[0.5, 31.5], [0.5, 20, 7]], y=[[0.5, 31.5], [0.5, 30, 5]])
    assert 'drawn at 0.5' in log[1]['xaxis.title.text']
    assert linear[0]['x'][1] == gt.tolist() and linear[1]['xaxis.type'] == 'linear'


def test_scatter_of_a_wide_range_starts_logarithmic():
    gt = np.array([1.0, 2.0, 90.0, 5000.0])
    figure = count_scatter(gt, gt, sources(4))
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == 'log'
    assert figure.layout.xaxis.title.text == 'true count'
    assert figure.layout.updatemenus[0].active == 0
    nobody = count_scatter(np.zeros(1), np.zeros(1), sources(1))
    assert nobody.layout.xaxis.type == 'linear'


def test_error_bars_state_error_and_number():
    errors = [dict(MAE=0.25, NAE=float('nan')), dict(MAE=1234.5, NAE=0.125)]
    (bar,) = error_bars(['0', 'some'], errors, [3, 4000], 'true count').data
    assert bar.text == ('0.2 · n=3', '1,234.5 · n=4,000')
    assert list(bar.customdata) == ['', ', NAE 0.125']


def test_relative_boxes_count_what_is_out_of_sight():
    percent = np.r_[np.linspace(-20, 20, 99), 5000.0]
    figure, above = relative_boxes(percent, dict(all=np.arange(100)), sources(100))
    assert above == 1
    low, high = figure.layout.yaxis.range
    assert low == -30 and high == 30
    assert figure.data[0].y[-1] == 5000


def test_radius_curves_mark_a_radius_within():
    scores = [dict(P=0.5, R=0.25, F1=1 / 3), dict(P=1, R=0.5, F1=2 / 3)]
    figure = radius_curves([1, 8], scores, 4)
    assert {trace.name: trace.y for trace in figure.data} == {
        'precision': (0.5, 1),
        'recall': (0.25, 0.5),
        'F1': (1 / 3, 2 / 3),
    }
    assert figure.layout.shapes[0].x0 == 4
    assert not radius_curves([1, 8], scores, 20).layout.shapes
    assert not radius_curves([1, 8], scores, None).layout.shapes


def test_recall_by_class():
    index = np.array([0, 2, 2, 2, 0, 2])
    found = np.array([True, False, True, True, True, True])
    (bar,) = recall_bars(index, found, ['low', 'empty', 'high'], 'px').data
    assert list(bar.x) == ['low', 'high']
    assert list(bar.y) == pytest.approx([1, 0.75])
    assert bar.text == ('1.000<br>n=2', '0.750<br>n=4')


def test_html_loads_no_library_and_closes_no_script():
    html = to_html(error_bars(['</script>'], [dict(MAE=1, NAE=1)], [1], 'scene'))
    assert html.count('</script>') == html.count('<script')
    assert 'src=' not in html
