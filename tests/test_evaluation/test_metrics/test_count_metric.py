import json
import math
import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from mmcrowd.evaluation.metrics.count_metric import CountMetric, ImageCounts
from mmcrowd.evaluation.metrics.game_metric import GAMEMetric
from mmcrowd.registry import METRICS
from mmcrowd.structures import CrowdDataSample

PRED = [13.0, 16.0, 100.0, 12.0, 700.0]
GT = [10, 20, 100, 0, 650]  # errors +3, -4, 0, +12, +50


def make_sample(index, pred, gt):
    attributes = dict(weather=index % 3)
    sample = CrowdDataSample(metainfo=dict(img_id=f'IMG_{index}', attributes=attributes))
    sample.pred_count, sample.gt_count = pred, gt
    return sample


def make_samples(pred=PRED, gt=GT):
    return [make_sample(i, p, g) for i, (p, g) in enumerate(zip(pred, gt, strict=True))]


def test_hand_computed_through_the_engine():
    evaluator = Evaluator(METRICS.build(dict(type='CountMetric')))
    samples = make_samples()
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    metrics = evaluator.evaluate(len(samples))
    rmse = math.sqrt((9 + 16 + 144 + 2500) / 5)
    assert metrics == pytest.approx(
        {
            'count/MAE': 69 / 5,
            'count/RMSE': rmse,
            'count/NAE': (3 / 10 + 4 / 20 + 0 + 50 / 650) / 4,
            'count/selection': 4 * 69 / 5 + rmse,
        }
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 10_000)), min_size=1),
    st.sampled_from([None, 'jhu', 'nwpu', {'few': (0, 9)}]),
)
def test_calculate_gives_the_numbers_of_the_engine(pairs, count_classes):
    pred, gt = zip(*pairs, strict=True)
    evaluator = Evaluator(CountMetric(count_classes))
    evaluator.process(make_samples(pred, gt))
    metrics = evaluator.evaluate(len(pairs))
    plain = CountMetric.calculate(pred, gt, count_classes)
    assert {key.removeprefix('count/'): value for key, value in metrics.items()} == pytest.approx(
        plain, nan_ok=True, rel=1e-12
    )


def test_calculate_takes_tensors():
    assert CountMetric.calculate(torch.tensor(PRED), torch.tensor(GT))['MAE'] == pytest.approx(13.8)


def test_count_classes():
    metrics = CountMetric.calculate(PRED, GT, 'jhu')
    assert metrics['MAE_low'] == pytest.approx(19 / 3)
    assert metrics['MAE_medium'] == 0
    assert metrics['RMSE_high'] == 50


def test_nwpu_prints_levels_luminance_and_their_means():
    pred, gt = [12, 0, 95, 900], [10, 0, 100, 700]
    codes = [dict(luminance=code) for code in (1, 0, 1, 2)]
    metrics = CountMetric.calculate(pred, gt, 'nwpu', 'nwpu', codes)
    assert [metrics[f'MAE_S{i}'] for i in (0, 1, 3)] == [0, 3.5, 200]
    assert [metrics[f'MAE_L{i}'] for i in (0, 1, 2)] == [0, 3.5, 200]
    assert math.isnan(metrics['MAE_S2']) and math.isnan(metrics['MAE_L3'])
    assert metrics['MAE_by_count'] == metrics['MAE_by_luminance'] == pytest.approx(203.5 / 3)
    assert metrics['NAE_by_luminance'] == pytest.approx((0.125 + 2 / 7) / 2)


def test_classes_by_attribute_through_the_engine():
    evaluator = Evaluator(CountMetric('jhu', 'jhu'))
    evaluator.process(make_samples())  # weather 0, 1, 2, 0, 1
    metrics = evaluator.evaluate(5)
    assert metrics['count/MAE_weather'] == pytest.approx((4 + 0 + 50) / 3)
    assert metrics['count/MAE_by_count'] == pytest.approx((19 / 3 + 0 + 50) / 3)
    # One class has no mean over classes.
    assert not any('by_weather' in key for key in metrics)


def test_missing_attribute_names_the_image():
    sample = make_sample(7, 1.0, 3).to_dict()
    with pytest.raises(KeyError, match=r"'IMG_7'.*attribute 'luminance'.*only \['weather'\]"):
        CountMetric(attribute_classes='nwpu').process(None, [sample])


def test_game_levels_print_what_the_game_metric_prints():
    """The older way to ask for GAME."""
    sample = make_sample(3, 2.0, 1)
    sample.set_metainfo(dict(ori_shape=(4, 5)))
    sample.pred_instances = InstanceData(points=torch.tensor([[0.0, 0.0], [4.0, 3.0]]))
    sample.gt_instances = InstanceData(points=torch.tensor([[0.0, 0.0]]))
    both = []
    for metric in (CountMetric(game_levels=(0, 1)), GAMEMetric((0, 1))):
        evaluator = Evaluator(metric)
        evaluator.process([sample])
        both.append(evaluator.evaluate(1))
    assert both[1] == {'count/GAME0': 1, 'count/GAME1': 1}
    assert both[1].items() <= both[0].items()


def test_one_compact_result_per_image():
    metric = CountMetric()
    metric.process(None, [sample.to_dict() for sample in make_samples()])
    assert metric.results == [
        ImageCounts(img_id=f'IMG_{i}', pred=p, gt=g, attributes={})
        for i, (p, g) in enumerate(zip(PRED, GT, strict=True))
    ]


def test_the_formula_of_selection_is_logged_once(capsys):
    MMLogger.get_current_instance()  # writes to the screen
    metric = CountMetric()
    for _ in range(2):
        metric.compute_metrics([ImageCounts(img_id='a', pred=1, gt=1, attributes={})])
    assert capsys.readouterr().out.count('count/selection is 4 MAE + RMSE') == 1


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_prediction_not_finite_names_the_image(value):
    with pytest.raises(ValueError, match=f"image 'IMG_7': pred_count is {value}"):
        CountMetric().process(None, [make_sample(7, value, 3).to_dict()])


def test_negative_truth_names_the_image():
    with pytest.raises(ValueError, match="image 'IMG_7': gt_count is -3"):
        CountMetric().process(None, [make_sample(7, 1.0, -3).to_dict()])


@pytest.mark.parametrize('field', ['pred_count', 'gt_count'])
def test_missing_count_names_the_image(field):
    sample = make_sample(7, 1.0, 3).to_dict()
    del sample[field]
    with pytest.raises(KeyError, match=f"image 'IMG_7': CountMetric needs {field}"):
        CountMetric().process(None, [sample])


def test_bad_classes():
    with pytest.raises(ValueError, match=r"'qnrf': expected one of \['jhu', 'nwpu'\]"):
        CountMetric('qnrf')
    with pytest.raises(ValueError, match=r"\['few'\] is \(9, 0\)"):
        CountMetric({'few': (9, 0)})
    with pytest.raises(ValueError, match=r"attribute_classes='qnrf': expected one of \['jhu'"):
        CountMetric(attribute_classes='qnrf')
    with pytest.raises(ValueError, match=r"both have \['low'\]"):
        CountMetric('jhu', {'low': ('level', (0,))})
    with pytest.raises(ValueError, match=r'levels=\(1, -1\)'):
        CountMetric(game_levels=(1, -1))


def evaluate_on_rank(rank, world_size, folder):
    """Evaluate one rank's share of the five images and write down what it got."""
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world_size
    )
    samples = make_samples()
    # The sampler of MMEngine's configs: pads to equal shares by starting over.
    share = list(DefaultSampler(samples, shuffle=False))
    evaluator = Evaluator(CountMetric('jhu', 'jhu', collect_dir=f'{folder}/parts'))
    for i in range(0, len(share), 2):
        evaluator.process([samples[j] for j in share[i : i + 2]])
    metrics = evaluator.evaluate(len(samples))
    with open(f'{folder}/rank{rank}.json', 'w', encoding='utf-8') as file:
        json.dump([len(share), metrics], file)
    dist.destroy_process_group()


def test_two_processes_count_each_of_five_images_once(tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), 'OMP_NUM_THREADS': '1'},
        )
        for rank in range(2)
    ]
    try:
        assert [rank.wait(timeout=600) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    weather = [dict(weather=index % 3) for index in range(5)]
    expected = CountMetric.calculate(PRED, GT, 'jhu', 'jhu', weather)
    for rank in range(2):
        share, metrics = json.loads((tmp_path / f'rank{rank}.json').read_text())
        assert share == 3
        assert metrics == pytest.approx({f'count/{key}': v for key, v in expected.items()})


if __name__ == '__main__':
    evaluate_on_rank(int(sys.argv[1]), 2, sys.argv[2])
