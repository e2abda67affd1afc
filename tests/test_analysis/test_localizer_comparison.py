import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmcrowd.analysis.localizer_comparison import (
    CANDIDATES,
    LocalizerScore,
    best_of_each_type,
    best_settings,
    draw_localizers,
    expand,
    score_localizers,
    score_table,
)
from mmcrowd.evaluation import LocalizationMetric
from mmcrowd.registry import DATASETS, MODELS, TASK_UTILS
from mmcrowd.visualization.palette import PREDICTION_COLOR, TRUTH_COLOR

TWO = [dict(type='LocalMaximum', threshold=1e-4), dict(type='OTMinimization')]


@pytest.fixture(scope='module')
def dataset():
    init_default_scope('mmcrowd')
    pipeline = [
        dict(type='LoadCrowdImage'),
        dict(type='Resize', scale_factor=1.5),
        dict(type='PackCrowdInputs'),
    ]
    return DATASETS.build(
        dict(
            type='SyntheticCrowdDataset',
            num_images=3,
            img_size=(96, 64),
            split='val',
            pipeline=pipeline,
        )
    )


@pytest.fixture(scope='module')
def model():
    init_default_scope('mmcrowd')
    torch.manual_seed(0)
    cfg = ConfigDict(
        type='DensityCounter',
        data_preprocessor=dict(
            type='CrowdDataPreprocessor', to_gray=True, std=[50.0], mean=[100.0]
        ),
        backbone=dict(type='MCNN'),
        head=dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4),
        loss=dict(type='PMLLoss'),
    )
    model = MODELS.build(cfg).eval()
    model.head.predict.bias.data.fill_(0.02)
    return model


def test_scores_are_those_of_a_counter_with_the_localizer(model, dataset):
    rows = score_localizers(model, dataset, TWO, radii=(4, 8))
    assert model.localizer is None
    assert [row.localizer for row in rows] == TWO
    for row in rows:
        metric = LocalizationMetric((4, 8))
        model.localizer = TASK_UTILS.build(row.localizer)
        try:
            for k in range(len(dataset)):
                samples = model.test_step(pseudo_collate([dataset[k]]))
                assert len(samples[0].pred_instances.points) > 3
                metric.process(None, [samples[0].to_dict()])
        finally:
            model.localizer = None
        wanted = metric.compute_metrics(metric.results)
        keys = ['P@4', 'R@4', 'F1@4', 'P@8', 'R@8', 'F1@8']
        assert row.scores == {key: wanted[key] for key in keys}
        assert row.milliseconds > 0
    (first,) = score_localizers(model, dataset, TWO[:1], num_images=1)
    assert first.scores != rows[0].scores


def test_the_best_of_each_type():
    values = [('A', 0.2), ('B', 0.5), ('A', 0.4), ('A', 0.4), ('B', 0.1)]
    scores = [
        LocalizerScore(dict(type=name, x=k), {'F1@8': f1}, 1.0)
        for k, (name, f1) in enumerate(values)
    ]
    assert [score.localizer['x'] for score in best_of_each_type(scores)] == [1, 2]
    assert score_table(scores[:1]).splitlines() == [
        '| localizer | F1@8 | ms |',
        '|---|--:|--:|',
        '| `A(x=0)` | 0.200 | 1.0 |',
    ]


def test_settings_that_are_the_best_at_several_radii():
    values = [('A', 0.2, 0.3), ('A', 0.1, 0.4), ('B', 0.3, 0.2), ('B', 0.1, 0.1)]
    scores = [
        LocalizerScore(dict(type=name, x=k), {'F1@4': small, 'F1@8': large}, 1.0)
        for k, (name, small, large) in enumerate(values)
    ]
    best = best_settings(scores)
    assert [(each['x'], by) for each, by in best] == [
        (2, ['F1@4', 'F1@8']),
        (0, ['F1@4']),
        (1, ['F1@8']),
    ]
    tested = [scores[each['x']] for each, _ in best]
    assert score_table(tested, [by for _, by in best]).splitlines()[:3] == [
        '| localizer | chosen by | F1@4 | F1@8 | ms |',
        '|---|--:|--:|--:|--:|',
        '| `B(x=2)` | F1@4, F1@8 | 0.300 | 0.200 | 1.0 |',
    ]


def test_all_candidates_run(model, dataset):
    """Each type and mode that is tried by default, in its first setting."""
    first = [expand([candidate])[0] for candidate in CANDIDATES]
    assert len({each['type'] for each in first}) == 7
    assert {each.get('mode') for each in first} == {None, 'relative', 'adaptive'}
    for localizer in expand(CANDIDATES):
        TASK_UTILS.build(localizer)
    assert len(score_localizers(model, dataset, first, num_images=1)) == len(CANDIDATES)


def test_picture(model, dataset):
    picture = draw_localizers(model, dataset, TWO, index=1, side=48, zoom=4)
    assert picture.dtype == np.uint8 and picture.shape[1] >= 2 * 48 * 4
    for color in (TRUTH_COLOR, PREDICTION_COLOR):
        assert (np.abs(picture - np.array(color)).sum(axis=2) < 60).sum() > 20
    five = draw_localizers(model, dataset, [*TWO, *TWO, TWO[0]], side=48, zoom=4)
    assert five.shape[0] > 2 * 48 * 4


def test_no_images(model, dataset):
    with pytest.raises(ValueError, match='no images to score'):
        score_localizers(model, dataset, TWO, num_images=0)
