import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.models.localizers.count_guided_peaks import CountGuidedPeaks, count_squares
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
    found = [[left, left + size, top, top + size] for top, left, size in count_squares(count)]
    np.testing.assert_array_equal(32 * np.array(found), squares)
    counted = np.zeros(count.shape)
    for left, right, up, down in found:
        counted[up:down, left:right] += 1
    np.testing.assert_array_equal(counted, covered)
    # Without the spare votes only peaks are points.
    fewer, scores = CountGuidedPeaks(counts='count', source='probability')(outputs, 1)
    assert {tuple(p) for p in fewer.tolist()} <= {tuple(p) for p in points.tolist()}
    assert (scores > 0).all() and (scores.diff() <= 0).all()


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
