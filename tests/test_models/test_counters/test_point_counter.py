import itertools

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mmcrowd.evaluation import CountMetric
from mmcrowd.models.losses.hungarian_matcher import SCORES
from mmcrowd.registry import MODELS
from mmcrowd.structures import to_input_frame
from mmcrowd.visualization import CrowdVisualizer

from ...testing.networks import make_sample


class TinyBackbone(nn.Sequential):
    """One level at stride 8."""

    def __init__(self, channels=(3, 16, 32, 32)):
        super().__init__()
        for c_in, c_out in itertools.pairwise(channels):
            self.extend((nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), nn.ReLU()))

    def forward(self, inputs):
        return (super().forward(inputs),)


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


def build(score='probability', **kwargs):
    torch.manual_seed(0)
    cfg = dict(
        type='PointCounter',
        data_preprocessor=dict(type='CrowdDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3),
        backbone=dict(type=TinyBackbone),
        head=dict(type='PointHead', in_channels=32, mid_channels=(32, 32)),
        loss=dict(type='P2PLoss', matcher=dict(type='HungarianMatcher', score=score)),
    )
    model = MODELS.build({**cfg, **kwargs})
    model.init_weights()
    return model


def make_batch(model, *samples):
    images = [torch.randint(0, 256, (3, *s.img_shape), dtype=torch.uint8) for s in samples]
    return model.data_preprocessor(dict(inputs=images, data_samples=list(samples)))


def propose(model, points, probability=0.9):
    """Let the head propose these points ``(R, 2)`` in every image, with these scores."""
    points = torch.as_tensor(points, dtype=torch.float32)
    person = torch.as_tensor(probability).expand(len(points)).logit()
    logits = torch.stack((torch.zeros_like(person), person), -1)
    model.head.forward = lambda features: {
        name: x.expand(len(features[0]), -1, -1)
        for name, x in dict(points=points, logits=logits).items()
    }


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('score', SCORES)
def test_one_step_on_the_mixed_batch(score, precision):
    model = build(score, precision=precision).train()
    # No point, one point, duplicates, points outside the frame, more points than proposals.
    points = ([], [[3, 4]], [[9, 9], [9, 9]], [[-40, 7], [31, 31], [100, 1e6]], [[5, 5]] * 99)
    data = make_batch(model, *(make_sample(p, (32, 32)) for p in points))
    losses = model(**data, mode='loss')
    assert set(losses) == {'loss_classification', 'loss_point'}
    assert all(value.isfinite() and value.dtype == torch.float32 for value in losses.values())
    sum(losses.values()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), key


@pytest.mark.parametrize('branch', ['predict_logits', 'predict_offsets'])
@pytest.mark.parametrize('points', [[[9, 9], [20, 20]], []])
def test_an_overflow_of_half_precision_skips_the_step(branch, points):
    model = build().train()
    layer = getattr(model.head, branch)
    with torch.no_grad():
        layer.weight.fill_(1000.0)
        layer.bias.fill_(65000.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)
    samples = [make_sample(p, (32, 32)) for p in (points, [[5, 5]])]
    data = make_batch(model, *samples)

    def step():
        optimizer.zero_grad()
        with torch.autocast('cpu', torch.float16):
            losses = model(**data, mode='loss')
        scaler.scale(sum(losses.values())).backward()
        scaler.step(optimizer)
        scaler.update()
        return losses

    before = {key: value.clone() for key, value in model.state_dict().items()}
    losses = step()
    assert all(value.isnan() for value in losses.values())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert scaler.get_scale() == 512
    # The training goes on with the next batch.
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    assert all(value.isfinite() for value in step().values())
    assert layer.bias.any() and scaler.get_scale() == 512


def test_outside_of_mixed_precision_an_overflow_is_an_error():
    model = build().train()
    with torch.no_grad():
        model.head.predict_logits.bias[0] = torch.inf
    data = make_batch(model, make_sample([[9, 9]], (32, 32)))
    # 16 cells with 4 proposals each, of which one has an infinite logit of the background
    message = 'P2PLoss: outside of mixed precision .* must be finite, but got 16 of 256 numbers'
    with pytest.raises(ValueError, match=message):
        model(**data, mode='loss')


def test_a_batch_without_points_trains_the_scores_only():
    model = build().train()
    data = make_batch(model, make_sample([], (32, 32)), make_sample([], (32, 32)))
    losses = model(**data, mode='loss')
    assert losses['loss_point'] == 0
    sum(losses.values()).backward()
    assert model.head.predict_logits.bias.grad.any()
    assert not model.head.predict_offsets.bias.grad.any()


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize(
    ('ori_shape', 'img_shape', 'scale', 'offset'),
    [
        ((50, 70), (50, 70), (1.0, 1.0), (0.0, 0.0)),
        ((100, 140), (50, 70), (0.5, 0.5), (0.0, 0.0)),
        ((31, 47), (45, 61), (2.0, 1.5), (20.0, 1.0)),
    ],
)
def test_predictions_return_to_the_original_frame(ori_shape, img_shape, scale, offset, flip):
    meta = dict(ori_shape=ori_shape, scale_factor=scale, crop_offset=offset, flip=flip)
    height, width = ori_shape
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, (width - 0.5, height - 0.5), (60, 2)).astype(np.float32)
    moved = to_input_frame(points, dict(img_shape=img_shape, **meta))
    kept = ((moved >= -0.5) & (moved < np.array(img_shape[::-1]) - 0.5)).all(1)
    assert kept.sum() > 20

    model = build().eval()
    # A larger image in the batch: this one is padded by more than its multiple.
    sample = make_sample([], img_shape, **meta)
    data = make_batch(model, sample, make_sample([], (96, 96)))
    probability = torch.linspace(0.6, 0.9, 60)
    # Nothing but the place tells these from the others: in the padding, and left of the image.
    padding = [[x, 1.0] for x in (img_shape[1] - 0.5, 90.0)]
    padding += [[1.0, y] for y in (img_shape[0] - 0.5, 90.0)] + [[-0.6, 1.0]]
    propose(
        model,
        torch.cat((torch.from_numpy(moved), torch.tensor(padding))),
        torch.cat((probability, torch.full((5,), 0.9))),
    )
    predicted, _ = model(**data, mode='predict')
    assert predicted.pad_shape == (96, 96)
    assert predicted.pred_instances.points.dtype == torch.float32
    np.testing.assert_allclose(predicted.pred_instances.points, points[kept], atol=1e-4)
    torch.testing.assert_close(predicted.pred_instances.scores, probability[torch.from_numpy(kept)])
    assert predicted.pred_count == kept.sum()
    assert isinstance(predicted.pred_count, float)


@pytest.mark.parametrize('shape', [(64, 60), (33, 64)])
def test_padding_that_loses_the_edge_is_refused(shape):
    with pytest.raises(ValueError, match='size_divisor of the head, 8; pad_size_divisor'):
        build().predict(torch.zeros(1, 3, *shape))


@pytest.mark.parametrize(('threshold', 'expected'), [(0.5, [2, 3]), (0.0, [0, 1, 2, 3]), (0.9, [])])
def test_only_scores_above_the_threshold_count(threshold, expected):
    model = build(score_threshold=threshold).eval()
    points = torch.tensor([[float(i), 1.0] for i in range(4)])
    propose(model, points, torch.tensor([0.2, 0.5, 0.51, 0.8]))
    (sample,) = model(torch.zeros(1, 3, 32, 32), mode='predict')
    assert torch.equal(sample.pred_instances.points, points[expected])
    assert sample.pred_count == len(expected)


@pytest.mark.parametrize('keep_outside', [False, True])
def test_proposals_in_the_padding(keep_outside):
    localizer = dict(type='ProposalThreshold', keep_outside=keep_outside)
    model = build(localizer=localizer).eval()
    propose(model, [[3.0, 4.0], [20.0, 30.0], [-9.0, 2.0]])
    data = make_batch(model, make_sample([], (16, 24), ori_shape=(16, 24)))
    (sample,) = model(**data, mode='predict')
    # those that count are in the image all the same
    expected = [[3.0, 4.0], [20.0, 15.0], [0.0, 2.0]] if keep_outside else [[3.0, 4.0]]
    assert sample.pred_instances.points.tolist() == expected
    assert sample.pred_count == len(expected)


def test_predict_without_samples_takes_all():
    model = build(score_threshold=0.0).eval()
    images = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        proposals, logits = model(images).values()
        samples = model(images, mode='predict')
    assert proposals.shape == logits.shape == (2, 4 * 8 * 4, 2)
    # Those of a new network lie on the grid, inside the image.
    for sample, points in zip(samples, proposals, strict=True):
        torch.testing.assert_close(sample.pred_instances.points, points)
        assert sample.pred_count == 128


def test_bf16_is_channels_last_and_close_to_fp32():
    exact, fast = build().eval(), build(precision='bf16').eval()
    fast.load_state_dict(exact.state_dict())
    weight = fast.head.logit_convs[0].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    images = torch.randn(1, 3, 32, 640)
    with torch.no_grad():
        for model in (exact, fast):  # far enough from the grid to tell them apart
            model.head.predict_offsets.weight.mul_(100)
            model.head.predict_logits.weight.mul_(10000)
        proposals, logits = exact(images).values()
        fast_proposals, fast_logits = fast(images).values()
    assert fast_proposals.dtype == fast_logits.dtype == torch.float32
    for actual, expected in ((fast_proposals, proposals), (fast_logits, logits)):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0.06)
    assert logits.std() > 0.5
    assert (proposals - exact.head.reference_points((4, 80), proposals)).std() > 0.5


def test_metric_and_visualizer_take_points_without_density():
    model = build().eval()
    propose(model, [[10.0, 20.0], [40.0, 30.0]])
    meta = dict(img_id='a', ori_shape=(100, 140), scale_factor=(0.5, 0.5))
    sample = make_sample([[10.0, 20.0]], (50, 70), **meta)
    (predicted,) = model(**make_batch(model, sample), mode='predict')
    assert 'pred_density' not in predicted

    metric = CountMetric()
    metric.process({}, [predicted.to_dict()])
    assert metric.evaluate(1)['count/MAE'] == 1

    visualizer = CrowdVisualizer()
    for frame, size in (('original', (100, 140)), ('input', (50, 70))):
        image = np.zeros((*size, 3), np.uint8)
        drawn = visualizer.add_datasample('a', image, predicted, frame=frame)
        bare = visualizer.add_datasample('a', image, predicted, frame=frame, draw_pred=False)
        # One panel; the second point, which is predicted only, has its ring where it belongs.
        height, width = 640 * size[0] // size[1], 640
        assert drawn.shape[1] == width
        y, x = np.nonzero((drawn[-height:] != bare[-height:]).any(-1))
        far = x > width / 2
        assert (x[far].mean(), y[far].mean()) == pytest.approx(
            (40.5 / 70 * width, 30.5 / 50 * height), abs=2
        )


@pytest.mark.parametrize('score', SCORES)
def test_learns_the_points_of_one_image(score):
    truth = torch.tensor([[9.0, 12.0], [30.5, 20.0], [51.0, 14.0], [20.0, 45.0], [47.5, 50.0]])
    rng = torch.Generator().manual_seed(0)
    image = torch.randint(0, 60, (3, 64, 64), dtype=torch.uint8, generator=rng)
    for x, y in truth.int().tolist():
        image[:, y - 2 : y + 3, x - 2 : x + 3] = 230
    model = build(score).train()
    data = model.data_preprocessor(
        dict(inputs=[image], data_samples=[make_sample(truth, (64, 64))])
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        sum(model(**data, mode='loss').values()).backward()
        optimizer.step()
    model.eval()
    (sample,) = model(**data, mode='predict')
    assert sample.pred_count == 5
    distance, nearest = torch.cdist(truth, sample.pred_instances.points).min(1)
    assert nearest.unique().numel() == 5
    assert distance.max() < 1


def test_bad_arguments():
    with pytest.raises(ValueError, match='score_threshold=1.5'):
        build(score_threshold=1.5)
    with pytest.raises(ValueError, match=r'score_threshold=0\.4 .*must be given there'):
        build(score_threshold=0.4, localizer=dict(type='ProposalThreshold'))
    with pytest.raises(ValueError, match="precision='fp8'"):
        build(precision='fp8')
    with pytest.raises(ValueError, match="mode='train'"):
        build()(torch.rand(1, 3, 8, 8), mode='train')
