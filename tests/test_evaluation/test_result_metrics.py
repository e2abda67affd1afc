import math

import pytest

from mmcrowd.evaluation.image_result import ImageResult
from mmcrowd.evaluation.result_metrics import evaluate_results, metric_tables

from ..testing.results import make_result


def test_hand_computed():
    results = [
        make_result('a', [(10, 10), (50, 50)], [(12, 10), (54, 50)], gt_sigmas=[(3, 5)] * 2),
        make_result('a', [], [(5, 5)], attributes=dict(weather=2)),
    ]
    metrics = evaluate_results(results)
    assert metrics['loc/P@sigma_s'] == pytest.approx(1 / 3)
    assert metrics['loc/R@sigma_l'] == 1
    assert metrics['count/MAE'] == 0.5 and metrics['count/MAE_S0'] == 1
    metrics = evaluate_results(results, (2, 1), None)
    assert [metrics[f'loc/R@{radius}'] for radius in (1, 2)] == [0, 0.5]
    assert not any('_S' in key for key in metrics)
    results[0].attributes = dict(weather=0)
    assert evaluate_results(results, attribute_classes='jhu')['count/MAE_weather'] == 1


def test_counts_alone():
    results = [ImageResult(img_id='b', pred_count=3.5, gt_count=2)]
    assert list(evaluate_results(results, count_classes=None)) == [
        'count/MAE',
        'count/RMSE',
        'count/NAE',
        'count/selection',
    ]
    with pytest.raises(ValueError, match='radii=8: some images have only counts'):
        evaluate_results(results, 8)
    with pytest.raises(ValueError, match="image 'c' has no gt_count"):
        evaluate_results([ImageResult(img_id='c', pred_count=1)])


def test_tables_have_all_digits():
    metrics = {'loc/F1@4': 2 / 3, 'loc/R_A0@4': math.nan, 'count/MAE': 1e-17, 'count/selection': 1}
    lines = metric_tables(metrics).splitlines()
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert rows[0] == ['radius', 'F1', 'R_A0'] and rows[2] == ['4', repr(2 / 3), 'nan']
    assert rows[3] == [''] and rows[4] == ['images', 'MAE'] and rows[6] == ['all', '1e-17']
