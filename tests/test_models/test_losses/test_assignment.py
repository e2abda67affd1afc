import itertools

import numpy as np
import pytest
import torch

from mmcrowd.models.losses.assignment import assign
from mmcrowd.models.losses.point_spacing import mean_neighbour_distance
from mmcrowd.ops.neighbours import neighbour_distances


def least_cost(cost):
    """Number of pairs and their cost, over all ways to make as many as can be."""
    rows, columns = cost.shape
    best = (0, 0.0)
    number = min(rows, columns)
    for chosen in itertools.permutations(range(columns), number):
        for subset in itertools.combinations(range(rows), number):
            values = [cost[i, j] for i, j in zip(subset, chosen, strict=True)]
            kept = [value for value in values if np.isfinite(value)]
            candidate = (-len(kept), sum(kept))
            best = min(best, candidate)
    return -best[0], best[1]


def test_least_sums_of_several_matrices():
    rng = np.random.default_rng(0)
    costs = [torch.as_tensor(rng.normal(size=size)) for size in [(3, 4), (4, 3), (0, 5), (1, 1)]]
    costs.append(costs[0].clone())
    allowed = [torch.ones(cost.shape[1], dtype=torch.bool) for cost in costs]
    allowed[-1][[0, 2]] = False  # fewer columns than rows are left
    pairs = assign(costs, allowed)
    costs[-1][:, [0, 2]] = torch.inf
    for cost, (rows, columns) in zip(costs, pairs, strict=True):
        number, total = least_cost(cost.numpy())
        assert len(rows) == len(set(rows.tolist())) == len(set(columns.tolist())) == number
        assert cost[rows, columns].sum().item() == pytest.approx(total)
        assert rows.tolist() == sorted(rows.tolist())
    assert set(pairs[-1][1].tolist()) == {1, 3}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_costs_that_are_none(value):
    cost = torch.zeros(2, 3)
    cost[1, 1] = value
    assert assign([torch.zeros(1, 1), cost]) is None
    # A column that may not be taken has no cost.
    allowed = [torch.tensor([True]), torch.tensor([True, False, True])]
    assert len(assign([torch.zeros(1, 1), cost], allowed)[1][0]) == 2


@pytest.mark.parametrize('number', [1, 3])
def test_spacing(monkeypatch, number):
    """By a tree on the host."""
    monkeypatch.setattr('mmcrowd.models.losses.point_spacing.ROWS', 7)
    points = torch.rand(30, 2, dtype=torch.float64) * 100 + 1e4
    points[5] = points[6]
    expected = neighbour_distances(points.numpy(), number).mean(1)
    np.testing.assert_allclose(mean_neighbour_distance(points, number), expected, rtol=1e-9)
    few = mean_neighbour_distance(points[:2], number)
    assert few.tolist() == pytest.approx([torch.dist(*points[:2]).item()] * 2)
    assert mean_neighbour_distance(points[:1], number).tolist() == [0]
    assert len(mean_neighbour_distance(points[:0], number)) == 0


def test_a_compiled_step_passes_it_by():
    def total(costs):
        return sum(
            cost[rows, columns].sum()
            for cost, (rows, columns) in zip(costs, assign(costs), strict=True)
        )

    costs = [torch.rand(3, 5), torch.rand(2, 4)]
    torch.compiler.reset()
    assert torch.compile(total, backend='eager')(costs) == total(costs)
