import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import Compose, DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmcrowd.datasets.transforms import (
    LoadCrowdImage,
    PackCrowdInputs,
    RandomFlip,
    ResizeToLimits,
)
from mmcrowd.evaluation.functional.localization import localization_scores, match_points
from mmcrowd.evaluation.metrics.localization_metric import (
    LOCALIZATION_PROTOCOLS,
    LocalizationMetric,
)
from mmcrowd.registry import METRICS
from mmcrowd.structures import CrowdDataSample

# Five images: distances 0 and 5, and one prediction too many; distances 4 and 10; nobody there, one
# predicted; two overlooked; one prediction 2 from either of two heads.
PRED = [
    [[10, 10], [33, 14], [90, 90]],
    [[50, 54], [70, 80]],
    [[5, 5]],
    [],
    [[22, 20]],
]
GT = [
    [[10, 10], [30, 10]],
    [[50, 50], [70, 70]],
    [],
    [[1, 1], [90, 9]],
    [[20, 20], [24, 20]],
]
SIGMAS = [
    [[2, 3], [4, 5]],
    [[3, 4], [9, 10]],
    [],
    [[2, 3], [2, 3]],
    [[1, 2], [1, 1]],
]
LEVELS = [[1, 2], [2, 5], [], [1, 1], [0, 0]]
TP = {'4': [1, 1, 0, 0, 1], '8': [2, 1, 0, 0, 1], 'sigma_s': [1, 0, 0, 0, 0]}
TP['sigma_l'] = [2, 2, 0, 0, 1]
RADII = ('sigma_s', 'sigma_l', 4, 8, '1-3')


def boxes_of(points, sizes=(6, 8)):
    points, half = np.array(points, float).reshape(-1, 2), np.array(sizes) / 2
    return np.concatenate([points - half, points + half], 1)


def make_sample(index, pred=None, gt=None, sigmas=None, boxes=None, **meta):
    sample = CrowdDataSample(metainfo=dict(img_id=f'IMG_{index}', **meta))
    sample.pred_count = float(index)
    if pred is not None:
        sample.pred_instances = InstanceData(points=torch.tensor(pred).float().reshape(-1, 2))
    if gt is not None:
        fields = dict(points=(gt, 2), sigmas=(sigmas, 2), boxes=(boxes, 4))
        sample.gt_instances = InstanceData(
            **{
                name: torch.as_tensor(np.array(value, np.float32).reshape(-1, width))
                for name, (value, width) in fields.items()
                if value is not None
            }
        )
    return sample


def make_samples(sigmas=SIGMAS):
    return [make_sample(i, *rows) for i, rows in enumerate(zip(PRED, GT, sigmas, strict=True))]


def evaluate(samples, **kwargs):
    evaluator = Evaluator(METRICS.build(dict(type='LocalizationMetric', **kwargs)))
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    return evaluator.evaluate(len(samples))


def test_hand_computed_through_the_engine():
    metrics = evaluate(make_samples(), radii=('sigma_s', 'sigma_l', 4, 8))
    expected = {}
    for radius, tp in TP.items():
        tp = sum(tp)
        expected |= {f'loc/P@{radius}': tp / 7, f'loc/R@{radius}': tp / 8}
        expected[f'loc/F1@{radius}'] = 2 * tp / 15
    assert metrics == pytest.approx(expected)


def test_counts_of_each_image():
    counts = LocalizationMetric.calculate_per_image(
        PRED, GT, ('sigma_s', 'sigma_l', 4, 8), gt_sigmas=SIGMAS
    )
    assert {radius: count['tp'].tolist() for radius, count in counts.items()} == TP
    assert counts['8']['fp'].tolist() == [1, 1, 1, 0, 0]
    assert counts['8']['fn'].tolist() == [0, 1, 0, 2, 1]
    assert counts['4']['fp'].tolist() == [2, 1, 1, 0, 0]


def test_recall_by_level():
    metrics = LocalizationMetric.calculate(PRED, GT, 'sigma_l', SIGMAS, LEVELS)
    recall = {key: value for key, value in metrics.items() if key.startswith('R_')}
    assert recall == pytest.approx(
        {
            'R_A0@sigma_l': 1 / 2,
            'R_A1@sigma_l': 1 / 3,
            'R_A2@sigma_l': 1,
            'R_A3@sigma_l': math.nan,
            'R_A4@sigma_l': math.nan,
            'R_A5@sigma_l': 1,
            'R_A_mean@sigma_l': (1 / 2 + 1 / 3 + 1 + 1) / 4,
        },
        nan_ok=True,
    )
    partly = LEVELS[:4] + [None]
    metrics = LocalizationMetric.calculate(PRED, GT, 'sigma_l', SIGMAS, partly)
    assert sorted(metrics) == ['F1@sigma_l', 'P@sigma_l', 'R@sigma_l']


@pytest.mark.parametrize('radii', [(4, 8), 'nwpu', '2-7', ('1-3', 'sigma_l', 2.5)])
def test_calculate_gives_the_numbers_of_the_engine(radii):
    metrics = evaluate(make_samples(), radii=radii)
    plain = LocalizationMetric.calculate(PRED, GT, radii, SIGMAS)
    assert {key.removeprefix('loc/'): value for key, value in metrics.items()} == plain


def test_a_range_is_the_mean_over_its_radii():
    rng = np.random.default_rng(0)
    gt = [rng.random((40, 2)) * 300 for _ in range(3)]
    pred = [points[:30] + rng.normal(0, 9, (30, 2)) for points in gt]
    single = []
    for radius in range(1, 101):
        tp = sum(len(match_points(p, g, radius)[0]) for p, g in zip(pred, gt, strict=True))
        single.append(localization_scores(tp, 90 - tp, 120 - tp))
    metrics = LocalizationMetric.calculate(pred, gt, 'qnrf')
    assert metrics == pytest.approx(
        {f'{key}@1-100': np.mean([scores[key] for scores in single]) for key in ('P', 'R', 'F1')}
    )
    assert metrics['R@1-100'] < single[-1]['R']


@pytest.mark.parametrize('name, radii', LOCALIZATION_PROTOCOLS.items())
def test_protocols_by_name(name, radii):
    metrics = LocalizationMetric.calculate(PRED, GT, name, SIGMAS)
    assert metrics == LocalizationMetric.calculate(PRED, GT, radii, SIGMAS)
    labels = [f'{radius}' for radius in radii]
    assert list(metrics) == [f'{key}@{label}' for label in labels for key in ('P', 'R', 'F1')]


@pytest.mark.parametrize(
    'file, small, large',
    [
        (
            'Raz_loc_val_0.5.txt',
            (0.6045706414162411, 0.4964991489925499, 0.5452312134684959),
            (0.6929057638729453, 0.5690437122269897, 0.6248961239182198),
        ),
        (
            'fasterRCNN_val_0.8_0.3.txt',
            (0.8999219156689224, 0.03523782345926885, 0.06782004884220437),
            (0.9639510671525248, 0.03774498313272659, 0.0726454232500662),
        ),
    ],
)
def test_official_numbers(data_root, file, small, large):
    """What the benchmark's own program prints of the prediction files that came with it."""
    truth = read_lines(data_root / 'nwpu_loc' / 'val_gt_loc.txt', 5)
    pred = read_lines(data_root / 'nwpu_loc' / file, 2)
    assert len(truth) == 500 and pred.keys() <= truth.keys()
    metrics = LocalizationMetric.calculate(
        [pred.get(img_id, []) for img_id in truth],
        [rows[:, :2] for rows in truth.values()],
        'nwpu',
        [rows[:, 2:4] for rows in truth.values()],
        [rows[:, 4] for rows in truth.values()],
    )
    for radius, official in (('sigma_s', small), ('sigma_l', large)):
        assert tuple(metrics[f'{key}@{radius}'] for key in ('P', 'R', 'F1')) == official
        levels = [metrics[f'R_A{level}@{radius}'] for level in range(6)]
        heads = np.bincount(np.concatenate([rows[:, 4] for rows in truth.values()]).astype(int))
        assert np.dot(levels, heads) / heads.sum() == pytest.approx(official[1], rel=1e-12)


def read_lines(path, width):
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: np.array(row[2:], float).reshape(-1, width) for row in rows}


def test_truth_comes_back_to_the_original_frame():
    # Shown to the network at twice the size and mirrored; 40 px wide.
    meta = dict(scale_factor=(2.0, 2.0), flip=True, img_shape=(60, 80), ori_shape=(30, 40))
    gt = np.array([[10.0, 7.0]])
    shown = np.array([[79 - ((10 + 0.5) * 2 - 0.5), (7 + 0.5) * 2 - 0.5]])
    sample = make_sample(0, gt + [3, 4], shown, sigmas=[[8, 10]], **meta)
    assert evaluate([sample], radii=(4.9, 5.1, 'sigma_s', 'sigma_l')) == {
        f'loc/{key}@{radius}': value
        for radius, value in (('4.9', 0), ('5.1', 1), ('sigma_s', 0), ('sigma_l', 1))
        for key in ('P', 'R', 'F1')
    }


def test_sigmas_and_levels_from_boxes():
    # Of 6 x 8: sigma_s 3, sigma_l 5, A1; of 30 x 40: 15, 25, A3.
    gt = [[100, 100], [300, 300]]
    boxes = np.concatenate([boxes_of(gt[:1]), boxes_of(gt[1:], (30, 40))])
    pred = [[103, 104], [300, 315]]
    metrics = evaluate([make_sample(0, pred, gt, boxes=boxes)], radii='nwpu')
    assert (metrics['loc/R@sigma_s'], metrics['loc/R@sigma_l']) == (0.5, 1)
    assert (metrics['loc/R_A1@sigma_s'], metrics['loc/R_A3@sigma_s']) == (0, 1)
    assert metrics['loc/R_A_mean@sigma_s'] == 0.5
    # Sigmas, where given, come first.
    sample = make_sample(0, pred, gt, [[5, 5], [14, 14]], boxes)
    assert evaluate([sample], radii='sigma_l')['loc/R_A1@sigma_l'] == 1
    assert evaluate([sample], radii='sigma_l')['loc/R_A3@sigma_l'] == 0


def test_boxes_on_half_pixels_through_a_pipeline():
    """Boxes as JHU-CROWD++ has them: whole sizes around whole points, so that odd ones end on half
    pixels; seen by the network smaller and mirrored."""
    rng = np.random.default_rng(0)
    points = np.stack(np.mgrid[:12, :12], -1).reshape(-1, 2) * 120.0 + 60
    size = rng.integers(1, 60, points.shape)
    size[:4] = (3, 3), (11, 9), (9, 11), (33, 31)  # areas just below 10, 100, 100 and above 1000
    boxes = np.concatenate([points - size / 2, points + size / 2], 1)
    truth = dict(points=points.astype(np.float32), boxes=boxes.astype(np.float32))
    pipeline = [
        LoadCrowdImage(),
        ResizeToLimits(longest=611),
        RandomFlip(prob=1.0),
        PackCrowdInputs(),
    ]
    image = dict(img=np.zeros((1440, 1440, 3), np.uint8), img_id='IMG_1', **truth)
    sample = Compose(pipeline)(image)['data_samples']
    sample.pred_count = 144.0

    small, large = (
        np.array([radius(w, h) for w, h in size.tolist()])
        for radius in (
            lambda w, h: min(w, h) // 2,
            lambda w, h: math.isqrt(w * w + h * h) // 2,
        )
    )
    levels = [sum(w * h >= 10**k for k in range(1, 6)) for w, h in size.tolist()]
    for beyond in (0, 1):
        # To the right as far as the radius, and a pixel more.
        for name, radius in (('sigma_s', small), ('sigma_l', large)):
            pred = points + np.stack([radius + beyond, 0 * radius], 1)
            sample.pred_instances = InstanceData(points=torch.from_numpy(pred).float())
            metric = LocalizationMetric(name)
            metric.process(None, [sample.to_dict()])
            (result,) = metric.results
            assert result.num_gt.tolist() == np.bincount(levels, minlength=6).tolist()
            assert result.tp.sum() == (0 if beyond else 144)


def test_sigma_radii_know_integers_only():
    noise = 1e-3  # what float32 leaves of the way through the input frame
    gt, sigmas = [[100 + noise, 100 - noise]], [[3 - noise, 5 - noise]]
    boxes = boxes_of([[100, 100]]) + [noise, noise, -noise, -noise]
    pred = [[103.4, 103.6]]  # 4.95 away, rounded (103, 104) 5
    for truth in (dict(sigmas=sigmas), dict(boxes=boxes)):
        metrics = evaluate([make_sample(0, pred, gt, **truth)], radii=('sigma_s', 'sigma_l', 4.97))
        found = [metrics[f'loc/R@{radius}'] for radius in ('sigma_s', 'sigma_l', '4.97')]
        assert found == [0, 1, 1]


def test_nothing_predicted_and_nothing_there():
    metrics = LocalizationMetric.calculate([[]], [[[1, 1]]], 4)
    assert metrics == pytest.approx({'P@4': math.nan, 'R@4': 0, 'F1@4': 0}, nan_ok=True)
    metrics = LocalizationMetric.calculate([[[1, 1]]], [[]], 'nwpu')
    assert metrics['P@sigma_l'] == metrics['F1@sigma_l'] == 0
    assert math.isnan(metrics['R@sigma_l']) and math.isnan(metrics['R_A_mean@sigma_l'])


def test_compact_result_of_each_image():
    metric = LocalizationMetric(RADII)
    metric.process(None, [sample.to_dict() for sample in make_samples()])
    assert [result.img_id for result in metric.results] == [f'IMG_{i}' for i in range(5)]
    assert all(result.tp.shape in ((7, 1), (7, 6)) for result in metric.results)


def test_missing_points_name_the_image():
    sample = make_sample(7, gt=[[1, 1]]).to_dict()
    with pytest.raises(KeyError, match="image 'IMG_7'.*pred_instances.*give the counter a loc"):
        LocalizationMetric().process(None, [sample])
    with pytest.raises(KeyError, match="image 'IMG_7': LocalizationMetric needs gt_instances"):
        LocalizationMetric().process(None, [make_sample(7, [[1, 1]]).to_dict()])


def test_missing_sigmas_name_the_image():
    sample = make_sample(7, [[1, 1]], [[1, 1]]).to_dict()
    with pytest.raises(KeyError, match="image 'IMG_7': radius 'sigma_s' needs sigmas or boxes"):
        LocalizationMetric('nwpu').process(None, [sample])
    with pytest.raises(KeyError, match="image '0': radius 'sigma_l' needs"):
        LocalizationMetric.calculate([[]], [[[1, 1]]], 'sigma_l')


def test_bad_values_name_the_image():
    metric = LocalizationMetric(('sigma_s', 4))
    bad = dict(
        pred=(make_sample(7, [[1, math.nan]], [[1, 1]], [[1, 1]]), r'pred\[0\] is \[1.0, nan\]'),
        sigma=(make_sample(7, [[1, 1]], [[1, 1]], [[-2, 1]]), 'radius is -2.0'),
        box=(make_sample(7, [[1, 1]], [[1, 1]], boxes=[[4, 0, 1, 1]]), r'boxes\[0\] is'),
    )
    for sample, message in bad.values():
        with pytest.raises(ValueError, match=f"image 'IMG_7': {message}"):
            metric.process(None, [sample.to_dict()])
    for levels in ([6], [-1], [1, 2]):
        with pytest.raises(ValueError, match="image '0': levels"):
            LocalizationMetric.calculate([[]], [[[1, 1]]], 4, gt_levels=[levels])
    with pytest.raises(ValueError, match='of 2, 1, 1, 1 images, expected the same number'):
        LocalizationMetric.calculate([[], []], [[]])


@pytest.mark.parametrize('radii', ['sigma', 'ucf', '9-1', '1-', -4, math.inf, (4, None), [[4]]])
def test_bad_radii(radii):
    with pytest.raises(ValueError, match="radii has .*, expected 'sigma_s'"):
        LocalizationMetric(radii)


def test_no_radii():
    with pytest.raises(ValueError, match='radii is empty'):
        LocalizationMetric(())


def evaluate_on_rank(rank, world_size, folder):
    """Evaluate one rank's share of the five images and write down what it got."""
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world_size
    )
    samples = make_samples()
    # The sampler of MMEngine's configs: pads to equal shares by starting over.
    share = list(DefaultSampler(samples, shuffle=False))
    evaluator = Evaluator(LocalizationMetric(RADII, collect_dir=f'{folder}/parts'))
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
    expected = LocalizationMetric.calculate(PRED, GT, RADII, SIGMAS)
    for rank in range(2):
        share, metrics = json.loads((tmp_path / f'rank{rank}.json').read_text())
        assert share == 3
        assert metrics == {f'loc/{key}': value for key, value in expected.items()}


if __name__ == '__main__':
    evaluate_on_rank(int(sys.argv[1]), 2, sys.argv[2])
