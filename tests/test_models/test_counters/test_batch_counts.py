"""The counts of a training batch are those that a prediction has."""

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mmcrowd.registry import MODELS

from ...testing.networks import TRANSFORMERS


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


class FixedHead(nn.Module):
    """Gives the same outputs for any images of 32 x 32 pixels."""

    out_stride = 2

    def __init__(self, results):
        super().__init__()
        self.results = results

    def forward(self, inputs):
        return self.results


def build(results, **kwargs):
    cfg = dict(
        type='DensityCounter',
        backbone=dict(type='Identity'),
        head=dict(type=FixedHead, results=results),
        loss=dict(type='GaussianL2Loss'),
    )
    return MODELS.build({**cfg, **kwargs}).eval()


def maps(channels=1):
    torch.manual_seed(0)
    return torch.rand(3, channels, 16, 16)


def proposals():
    torch.manual_seed(0)
    return dict(points=31 * torch.rand(3, 40, 2), logits=torch.randn(3, 40, 2))


CASES = {
    'plain density': (maps(), {}),
    'density': (dict(density=maps(), logits=-maps()), {}),
    'other output': (dict(density=maps(), logits=-maps()), dict(count_from='logits')),
    'half precision': (dict(density=maps().bfloat16()), {}),
    'proposals': (proposals(), dict(type='PointCounter', score_threshold=0.6)),
    'independent': (
        proposals(),
        dict(type='PointCounter', localizer=dict(type='SigmoidThreshold')),
    ),
    'every logit': (
        proposals(),
        dict(
            type='PointCounter',
            localizer=dict(type='SigmoidThreshold', every_logit=True, score_threshold=0.51),
        ),
    ),
    'all logits': (
        proposals(),
        dict(
            type='PointCounter',
            localizer=dict(type='SigmoidThreshold', every_logit=True, score_threshold=0.0),
        ),
    ),
}
MAXIMA = {
    'absolute': dict(threshold=0.5),
    'adaptive': dict(mode='adaptive', threshold=0.9),
    'relative': dict(mode='relative', threshold=0.97, patch=8),
    'smoothed': dict(threshold=0.65, smooth=3),
    'blurred': dict(threshold=0.4, blur=1.0),
}
for name, settings in MAXIMA.items():
    localizer = dict(type='LocalMaximum', join=False, source='map', **settings)
    CASES[name] = dict(map=maps()), dict(count_from='points', localizer=localizer)


@pytest.mark.parametrize('results, kwargs', CASES.values(), ids=CASES)
def test_those_of_a_prediction(results, kwargs):
    model = build(results, **kwargs)
    predicted = [sample.pred_count for sample in model.predict(torch.zeros(3, 3, 32, 32))]
    assert len(set(predicted)) > 1 or predicted == [40] * 3
    counts = model.batch_counts(results)
    assert counts.tolist() == pytest.approx(predicted, rel=1e-5)


def test_proposals_count_wherever_they_are():
    results = dict(
        points=torch.full((1, 5, 2), -9.0), logits=torch.tensor([-9.0, 9]).expand(1, 5, 2)
    )
    for localizer in ('ProposalThreshold', 'SigmoidThreshold'):
        model = build(results, type='PointCounter', localizer=dict(type=localizer))
        assert model.predict(torch.zeros(1, 3, 32, 32))[0].pred_count == 0
        assert model.batch_counts(results).tolist() == [5]


def test_counts_have_no_gradient():
    density = maps().requires_grad_()
    assert not build(density).batch_counts(density).requires_grad


@pytest.mark.parametrize('type_', ['LocalMaximum', 'ConnectedComponents', 'BoxNMS'])
def test_none_of_points_that_are_searched_on_the_host(type_):
    model = build(maps(), count_from='points', localizer=dict(type=type_))
    assert model.batch_counts(maps()) is None


@pytest.mark.parametrize('results', [dict(other=maps()), dict(density=[maps(), maps()])])
def test_none_of_other_outputs(results):
    assert build(results).batch_counts(results) is None


@torch.no_grad()
def test_queries_of_two_grids_are_counted_once(monkeypatch):
    """In training all queries are decoded, and those counted that evaluation would ask."""
    torch.manual_seed(0)
    model = MODELS.build(TRANSFORMERS['pet'] | dict(score_threshold=0.0)).eval()
    features = torch.randn(2, 16, 64, 64), torch.randn(2, 16, 32, 32)
    padding = torch.zeros(2, 256, 256, dtype=torch.bool)
    padding[1, 192:] = True
    # Of 8 regions with 8 x 16 sparse or 16 x 32 dense queries each.
    crowded = torch.tensor([[[0, 1], [0, 0], [1, 1], [0, 1]], [[1, 0], [0, 0], [0, 0], [0, 0]]])
    split = crowded.float()
    split[1, 3] = torch.nan
    monkeypatch.setattr(model.head, '_split', lambda memory, padded: split)
    for training in (False, True):
        outputs = model.head.train(training)(features, padding)
        assert model.batch_counts(outputs).tolist() == [4 * 128 + 4 * 512, 5 * 128 + 512]
    # The loss sees all of them.
    assert outputs['dense']['logits'].isfinite().all()
