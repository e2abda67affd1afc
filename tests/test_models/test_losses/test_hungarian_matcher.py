import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.losses.hungarian_matcher import SCORES, HungarianMatcher, matching_cost
from mmcrowd.registry import TASK_UTILS


def random_image(num_points, num_proposals, seed=0):
    """Proposals, logits and points in a frame of 40 pixels, float64."""
    rng = torch.Generator().manual_seed(seed)
    sizes = (num_proposals, 40), (num_proposals, 3), (num_points, 40)
    return tuple(torch.rand(n, 2, generator=rng, dtype=torch.float64) * scale for n, scale in sizes)


def cost_by_formula(proposals, logits, points, score, distance_weight, score_weight):
    """Costs as nested lists, in plain Python."""
    costs = []
    for point in points.tolist():
        costs.append([])
        for proposal, (background, person) in zip(proposals.tolist(), logits.tolist(), strict=True):
            value = math.exp(person) / (math.exp(person) + math.exp(background))
            if score == 'logit':
                value = math.log(value / (1 - value))
            distance = math.dist(point, proposal)
            costs[-1].append(distance_weight * distance - score_weight * value)
    return costs


def least_sum(costs, num_points, num_proposals):
    """Least sum of a matching of all points or all proposals, trying every one."""
    if num_points > num_proposals:
        costs = [list(column) for column in zip(*costs, strict=True)]
        num_points, num_proposals = num_proposals, num_points
    return min(
        sum(costs[i][j] for i, j in enumerate(order))
        for order in permutations(range(num_proposals), num_points)
    )


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_points=st.integers(0, 5),
    num_proposals=st.integers(1, 5),
    score=st.sampled_from(SCORES),
    distance_weight=st.sampled_from([0.05, 1.0]),
    score_weight=st.sampled_from([1.0, 4.0]),
)
def test_least_of_all_matchings(
    seed, num_points, num_proposals, score, distance_weight, score_weight
):
    image = random_image(num_points, num_proposals, seed)
    kwargs = dict(score=score, distance_weight=distance_weight, score_weight=score_weight)
    costs = cost_by_formula(*image, **kwargs)
    if num_points:
        expected = torch.tensor(costs, dtype=torch.float64)
        proposals, logits, points = image
        torch.testing.assert_close(matching_cost(proposals, logits, points, **kwargs), expected)

    point, proposal = HungarianMatcher(**kwargs)(*image)
    assert point.dtype == proposal.dtype == torch.int64
    # One to one, and nobody is left over on the smaller side.
    assert len(point.unique()) == len(proposal.unique()) == min(num_points, num_proposals)
    total = sum(costs[i][j] for i, j in zip(point.tolist(), proposal.tolist(), strict=True))
    assert total == pytest.approx(least_sum(costs, num_points, num_proposals), abs=1e-9)


def test_logits_do_not_saturate():
    # A sure proposal 100 px away, against an undecided one on the point.
    proposals = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    logits = torch.tensor([[0.0, 0.0], [-5.0, 5.0]])
    point = torch.zeros(1, 2)
    assert HungarianMatcher('probability')(proposals, logits, point)[1].tolist() == [0]
    # 0.05 * 100 - 10 against 0
    assert HungarianMatcher('logit')(proposals, logits, point)[1].tolist() == [1]
    # Only the difference of the logits counts.
    assert HungarianMatcher('logit')(proposals, logits + 7, point)[1].tolist() == [1]


def test_both_points_want_the_same_proposal():
    # Together 0.05 * (1 + 10) against 0.05 * (2 + 11): the second point moves on.
    proposals = torch.tensor([[0.0, 0.0], [12.0, 0.0]])
    points = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    point, proposal = HungarianMatcher()(proposals, torch.zeros(2, 2), points)
    assert dict(zip(point.tolist(), proposal.tolist(), strict=True)) == {0: 0, 1: 1}


def test_more_points_than_proposals():
    proposals = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    points = torch.tensor([[9.0, 0.0], [51.0, 0.0], [1.0, 0.0], [70.0, 0.0]])
    point, proposal = HungarianMatcher()(proposals, torch.zeros(2, 2), points)
    assert dict(zip(point.tolist(), proposal.tolist(), strict=True)) == {1: 1, 2: 0}


def test_distances_are_exact_far_from_the_origin():
    proposals = torch.tensor([[9000.0, 9000.25]]).repeat(40, 1)
    points = torch.tensor([[9000.0, 9000.0]]).repeat(40, 1)
    cost = matching_cost(proposals, torch.zeros(40, 2), points, 'probability', 1.0, 1.0)
    torch.testing.assert_close(cost, torch.full((40, 40), 0.25 - 0.5))


def test_identical_and_far_points():
    proposals, logits, _ = random_image(0, 9)
    points = torch.tensor([[3.0, 3.0]] * 4 + [[-4e5, 1e7]]).double()
    point, proposal = HungarianMatcher()(proposals, logits, points)
    assert point.tolist() == [0, 1, 2, 3, 4]
    assert len(set(proposal.tolist())) == 5


@pytest.mark.parametrize('which', range(3))
def test_not_finite(which):
    image = random_image(2, 3)
    image[which][0, 0] = torch.nan
    with pytest.raises(ValueError, match=r'must be finite, but got \d of 6 costs that are not'):
        HungarianMatcher()(*image)


def test_unknown_score():
    with pytest.raises(ValueError, match="score must be .*'probability', 'logit'.*'softmax'"):
        HungarianMatcher(score='softmax')


def test_built_from_a_config():
    matcher = TASK_UTILS.build(dict(type='HungarianMatcher', score='logit', score_weight=2.0))
    assert (matcher.score, matcher.distance_weight, matcher.score_weight) == ('logit', 0.05, 2.0)
