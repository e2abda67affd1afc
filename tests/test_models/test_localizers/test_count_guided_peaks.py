import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmcrowd.models.localizers.count_guided_peaks import (
    CountGuidedPeaks,
    count_squares,
    highest_first,
)
from mmcrowd.ops.smoothing import gaussian_blur


@pytest.fixture(scope='module')
def stored(golden_root):
    with np.load(golden_root / 'systems' / 'd2cnet.npz') as arrays:
        return {key: arrays[key] for key in arrays if key.startswith('vote/')}


@pytest.mark.parametrize('case', range(4))
def test_published_votes(stored, case):
    probability, count, points, covered, squares = (
        stored[f'vote/{case}/{name}']
        for name in ('prob', 'count', 'points_xy', 'covered', 'squares_lrud_px')
    )
    outputs = dict(probability=torch.as_tensor(probability), count=torch.as_tensor(count))
    localizer = CountGuidedPeaks(counts='count', spare_votes=True, source='probability')
    actual, _ = localizer(outputs, 1)
    assert sorted(actual.tolist()) == sorted(points.tolist())
    found = [[left, left + size, top, top + size] for top, left, size in count_squares(count)[0]]
    np.testing.assert_array_equal(32 * np.array(found), squares)
    counted = np.zeros(count.shape)
    for left, right, up, down in found:
        counted[up:down, left:right] += 1
    np.testing.assert_array_equal(counted, covered)
    # Without the spare votes only peaks are points.
    fewer, scores = CountGuidedPeaks(counts='count', source='probability')(outputs, 1)
    assert {tuple(p) for p in fewer.tolist()} <= {tuple(p) for p in points.tolist()}
    assert (scores > 0).all() and (scores.diff() <= 0).all()


def votes_one_by_one(counts, peaks, side):
    """Votes of every peak, of corners too, and squares that cover every cell, in plain loops."""
    height, width = counts.shape
    least = min(2, height, width)
    votes, covered = dict.fromkeys(peaks, 0), np.zeros(counts.shape)
    for top in range(height - least + 1):
        for left in range(width - least + 1):
            size = least
            while True:
                square = np.s_[top : top + size, left : left + size]
                if counts[square].sum() > 1 or size == min(height - top, width - left):
                    break
                size += 1
            covered[square] += 1
            number = max(round(counts[square].sum()), 0)
            inside = [
                (row, column)
                for row, column in peaks
                if 0 <= row // side - top < size and 0 <= column // side - left < size
            ]
            for peak in inside[:number]:
                votes[peak] += 1
            if number > len(inside):
                corner = (top * side, left * side)
                votes[corner] = votes.get(corner, 0) + number - len(inside)
    return votes, covered


# Eighths of persons: their sums are exact, those of just 1 and at a half too.
@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(-2, 9)),
    st.integers(0, 2**31),
    st.sampled_from([1, 3]),
)
def test_votes_are_those_of_plain_loops(eighths, seed, side):
    counts = eighths / 8
    generator = torch.Generator().manual_seed(seed)
    size = [side * length for length in counts.shape]
    probability = torch.rand(size, generator=generator)
    probability *= torch.rand(size, generator=generator) < 0.3
    peaks = [tuple(peak) for peak in highest_first(probability)[0].tolist()]
    votes, covered = votes_one_by_one(counts, peaks, side)
    localizer = CountGuidedPeaks(side, 'count', spare_votes=True, source='probability')
    points, _ = localizer(dict(probability=probability, count=torch.from_numpy(counts)), 1)
    expected = [
        (column, row)
        for (row, column), number in votes.items()
        if number >= 0.5 * covered[row // side, column // side]
    ]
    assert sorted(map(tuple, points.tolist())) == sorted(expected)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 4]))
def test_as_many_points_as_separated_heads(seed, stride):
    """Heads in the middle of squares of two cells: each cell of the counts knows its own."""
    rng = np.random.default_rng(seed)
    heads = np.array([(x, y) for y in (8, 24, 40) for x in (8, 24, 40, 56)])
    heads = heads[rng.random(len(heads)) < 0.6] + rng.integers(-2, 3, 2)
    density = torch.zeros(48, 64)
    density[tuple(heads[:, ::-1].T)] = 1
    density = gaussian_blur(density, 1.0)
    points, _ = CountGuidedPeaks(cell=16 * stride)(density, stride)
    cells = (points - (stride - 1) / 2) / stride
    assert sorted(map(tuple, cells.tolist())) == sorted(map(tuple, heads.tolist()))


def test_the_weaker_peak_of_a_head_is_left_out():
    density = torch.zeros(32, 32)
    density[8, 8], density[8, 13] = 0.6, 0.4
    density = gaussian_blur(density, 1.0)
    points, _ = CountGuidedPeaks(cell=16)(density, 1)
    assert points.tolist() == [[8, 8]]


@pytest.mark.parametrize('size', [(1, 1), (5, 40), (40, 5)])
def test_maps_of_few_cells(size):
    density = torch.zeros(size)
    density[size[0] // 2, size[1] // 2] = 1.0
    density = gaussian_blur(density, 0.7)
    points, _ = CountGuidedPeaks(cell=8)(density / density.sum(), 1)
    assert points.tolist() == [[size[1] // 2, size[0] // 2]]
    assert len(CountGuidedPeaks(cell=8)(torch.zeros(size), 1)[0]) == 0


def test_what_is_wrong_is_named():
    density = torch.zeros(8, 8)
    with pytest.raises(ValueError, match='cell=0'):
        CountGuidedPeaks(cell=0)
    with pytest.raises(ValueError, match='cell=6, expected a multiple of the stride 4'):
        CountGuidedPeaks(cell=6)(density, 4)
    with pytest.raises(TypeError, match="counts='count' is an output"):
        CountGuidedPeaks(counts='count')(density, 1)
    outputs = dict(density=density, count=torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r'shape \(3, 2\), but .* needs \(2, 2\)'):
        CountGuidedPeaks(cell=4, counts='count')(outputs, 1)
