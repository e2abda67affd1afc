import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from mmcrowd.models.losses.hungarian_matcher import SCORES
from mmcrowd.models.losses.output_loss import OutputLoss
from mmcrowd.models.losses.p2p_loss import REDUCTIONS, P2PLoss
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample


def random_batch(num_points=(3, 0, 1, 9), num_proposals=6, seed=0):
    """Proposals, logits and points in a frame of 40 pixels, float64."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*size):
        return torch.rand(*size, 2, generator=rng, dtype=torch.float64)

    size = len(num_points), num_proposals
    return 40 * draw(*size), 6 * draw(*size) - 3, [40 * draw(m) for m in num_points]


def value_and_grad(loss, proposals, logits, points):
    """All terms of the loss, and the gradients of their sum to proposals and logits."""
    inputs = [tensor.detach().clone().requires_grad_() for tensor in (proposals, logits)]
    terms = loss(*inputs, points)
    sum(terms.values()).backward()
    return {key: value.detach() for key, value in terms.items()}, [x.grad for x in inputs]


def loss_by_formula(loss, proposals, logits, points):
    """Both terms, proposal by proposal, for the matches that the loss finds."""
    by_image = loss.reduction == 'image'
    classification = location = weight = 0
    for prediction, logit, truth in zip(proposals, logits, points, strict=True):
        matches = loss.matcher(prediction.detach(), logit.detach(), truth)
        matched = {j: i for i, j in zip(*(index.tolist() for index in matches), strict=True)}
        entropy = square = 0
        for j, (background, person) in enumerate(logit):
            norm = background.exp() + person.exp()
            if j in matched:
                entropy -= (person.exp() / norm).log()
                weight += 1
                square += ((prediction[j] - truth[matched[j]]) ** 2).sum()
            else:
                entropy -= loss.background_weight * (background.exp() / norm).log()
                weight += loss.background_weight
        classification += entropy / len(logit) / len(points) if by_image else entropy
        square *= loss.point_weight
        location += square / max(len(matched), 1) / len(points) if by_image else square
    if by_image:
        return classification, location
    return classification / weight, location / max(sum(map(len, points)), 1)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_points=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    num_proposals=st.integers(1, 7),
    score=st.sampled_from(SCORES),
    background_weight=st.sampled_from([0.5, 1.0]),
    point_weight=st.sampled_from([0.0, 2e-4, 1.0]),
    reduction=st.sampled_from(REDUCTIONS),
)
def test_formula(
    seed, num_points, num_proposals, score, background_weight, point_weight, reduction
):
    proposals, logits, points = random_batch(num_points, num_proposals, seed)
    matcher = dict(type='mmcrowd.HungarianMatcher', score=score)
    loss = P2PLoss(matcher, background_weight, point_weight, reduction)
    terms, grads = value_and_grad(loss, proposals, logits, points)

    proposals.requires_grad_()
    logits.requires_grad_()
    expected = loss_by_formula(loss, proposals, logits, points)
    torch.testing.assert_close(terms['loss_classification'], expected[0].detach())
    torch.testing.assert_close(terms['loss_point'], torch.as_tensor(expected[1]).detach().double())
    sum(expected).backward()
    torch.testing.assert_close(grads[1], logits.grad)
    if any(num_points):
        torch.testing.assert_close(grads[0], proposals.grad)
    else:
        assert not grads[0].any()


def test_by_hand():
    # Of three proposals the second, 3 px right and 4 px below the point, is matched.
    proposals = torch.tensor([[[90.0, 0.0], [13.0, 24.0], [0.0, 90.0]]])
    logits = torch.tensor([[[0.0, 0.0], [0.0, math.log(3)], [math.log(4), 0.0]]])
    points = [torch.tensor([[10.0, 20.0]])]
    terms, (to_proposals, to_logits) = value_and_grad(P2PLoss(), proposals, logits, points)
    entropy = -(0.5 * math.log(1 / 2) + math.log(3 / 4) + 0.5 * math.log(4 / 5)) / 3
    assert terms['loss_classification'].item() == pytest.approx(entropy)
    assert terms['loss_point'].item() == pytest.approx(2e-4 * 25)
    expected = torch.tensor([[0.0, 0.0], [2e-4 * 6, 2e-4 * 8], [0.0, 0.0]])
    torch.testing.assert_close(to_proposals[0], expected)
    # weight * (probability - target), over R
    expected = torch.tensor([0.5 * 1 / 2, 3 / 4 - 1, 0.5 * 1 / 5]) / 3
    torch.testing.assert_close(to_logits[0, :, 1], expected)
    torch.testing.assert_close(to_logits[0, :, 0], -expected)


def test_images_count_alike():
    """The point term is a mean over the points of an image, then over the images."""
    proposals = torch.zeros(3, 4, 2)
    points = [torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0]] * 3), torch.zeros(0, 2)]
    terms = P2PLoss(point_weight=1.0)(proposals, torch.zeros(3, 4, 2), points)
    assert terms['loss_point'].item() == pytest.approx((25 + 1 + 0) / 3)
    # 1 matched of 4, 3 of 4, 0 of 4, at a score of a half
    weight = (1 + 0.5 * 3) / 4 + (3 + 0.5) / 4 + 0.5
    assert terms['loss_classification'].item() == pytest.approx(math.log(2) * weight / 3)


def test_all_proposals_are_matched_by_more_points():
    proposals = torch.zeros(1, 2, 2)
    points = [torch.tensor([[100.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 50.0]])]
    terms = P2PLoss(point_weight=1.0)(proposals, torch.zeros(1, 2, 2), points)
    assert terms['loss_point'].item() == pytest.approx((1 + 4) / 2)
    assert terms['loss_classification'].item() == pytest.approx(math.log(2))


@pytest.mark.parametrize('score', SCORES)
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_bad_batch_is_the_mean_of_its_images(dtype, score):
    # none, one, far more points than proposals, twice the same, far outside; saturated logits
    proposals, logits, points = random_batch((0, 1, 50, 2, 3, 0))
    points[3] = torch.tensor([[3.0, 3.0]] * 2).double()
    points[4] = torch.tensor([[-4e5, 1e7]] * 3).double()
    logits[4:] *= 200
    proposals, logits = proposals.to(dtype), logits.to(dtype)
    loss = P2PLoss(dict(type='mmcrowd.HungarianMatcher', score=score))
    terms, grads = value_and_grad(loss, proposals, logits, points)
    single = [
        value_and_grad(loss, a[None], b[None], [p])
        for a, b, p in zip(proposals, logits, points, strict=True)
    ]
    for key, value in terms.items():
        assert value.isfinite() and value.dtype == dtype
        torch.testing.assert_close(value, torch.stack([s[0][key] for s in single]).mean())
    for k, grad in enumerate(grads):
        assert grad.isfinite().all()
        torch.testing.assert_close(grad, torch.cat([s[1][k] for s in single]) / len(points))


@pytest.mark.parametrize(('reduction', 'weight'), [('image', 0.5), ('batch', 1.0)])
def test_batch_without_any_point(reduction, weight):
    proposals, logits, points = random_batch((0, 0))
    loss = P2PLoss(reduction=reduction)
    terms, (to_proposals, to_logits) = value_and_grad(loss, proposals, logits, points)
    assert terms['loss_point'] == 0
    # The proposals stay in the graph, which distributed training needs.
    assert torch.equal(to_proposals, torch.zeros_like(proposals))
    background = logits.log_softmax(-1)[..., 0]
    torch.testing.assert_close(terms['loss_classification'], -weight * background.mean())
    assert (to_logits[..., 1] > 0).all()


@pytest.mark.parametrize('background_weight', [0.0, 0.5])
def test_bad_batch_by_batch(background_weight):
    proposals, logits, points = random_batch((0, 1, 50, 2, 3, 0))
    points[3] = torch.tensor([[3.0, 3.0]] * 2).double()
    points[4] = torch.tensor([[-4e5, 1e7]] * 3).double()
    loss = P2PLoss(background_weight=background_weight, reduction='batch')
    for images in (slice(None), slice(0, 1), slice(2, 3)):
        batch = proposals[images].float(), (200 * logits[images]).float(), points[images]
        terms, grads = value_and_grad(loss, *batch)
        assert all(value.isfinite() for value in terms.values())
        assert all(grad.isfinite().all() for grad in grads)


def test_autocast_computes_in_float32():
    proposals, logits, points = random_batch()
    proposals, logits = proposals.bfloat16(), logits.bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        terms, grads = value_and_grad(P2PLoss(), proposals, logits, points)
    expected, _ = value_and_grad(P2PLoss(), proposals.float(), logits.float(), points)
    assert all(grad.dtype == torch.bfloat16 and grad.isfinite().all() for grad in grads)
    for key, value in terms.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
@pytest.mark.parametrize('value', [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize('which', [0, 1])
def test_an_overflow_makes_all_gradients_nan(which, value, dtype):
    # float16 by itself, float32 under autocast; -inf for a person would otherwise cost nothing
    batch = random_batch()
    batch[which][1, 0, 1] = value
    proposals, logits = (x.to(dtype) for x in batch[:2])
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.float32):
        terms, grads = value_and_grad(P2PLoss(), proposals, logits, batch[2])
    assert all(term.isnan() and term.dtype == torch.float32 for term in terms.values())
    assert all(grad.isnan().all() for grad in grads)


def test_a_point_that_is_not_finite_is_an_error_under_autocast_too():
    proposals, logits, points = random_batch()
    points[0][0, 0] = torch.nan
    with torch.autocast('cpu', torch.bfloat16):
        with pytest.raises(ValueError, match='points must be finite'):
            P2PLoss()(proposals.float(), logits.float(), points)


@pytest.mark.parametrize('key', ['background_weight', 'point_weight'])
def test_negative_weight(key):
    with pytest.raises(ValueError, match=f'P2PLoss: {key} must not be negative, but got -1'):
        P2PLoss(**{key: -1})


def test_unknown_reduction():
    with pytest.raises(ValueError, match="reduction must be .*'image', 'batch'.*'mean'"):
        P2PLoss(reduction='mean')


def test_number_of_point_lists():
    proposals, logits, points = random_batch()
    with pytest.raises(ValueError, match='4 images.*got 3'):
        P2PLoss()(proposals, logits, points[:3])


def test_from_the_outputs_of_a_network():
    proposals, logits, points = random_batch()
    samples = [CrowdDataSample(gt_instances=InstanceData(points=p)) for p in points]
    loss = P2PLoss()
    assert isinstance(loss, OutputLoss)
    outputs = dict(points=proposals, logits=logits)
    assert loss.loss(outputs, samples, 8) == loss(proposals, logits, points)


def test_built_from_a_config():
    matcher = dict(type='HungarianMatcher', score='logit')
    loss = MODELS.build(dict(type='mmcrowd.P2PLoss', matcher=dict(matcher), point_weight=1e-3))
    assert (loss.matcher.score, loss.point_weight) == ('logit', 1e-3)
    assert MODELS.build(dict(type='P2PLoss')).matcher.score == 'probability'
