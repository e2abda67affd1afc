import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from mmcrowd.ops.persistence import peak_persistence

# Few values, so that many are equal.
MAPS = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    elements=st.integers(0, 5),
)


def pairs_by_cells(values):
    """Peak and saddle of each feature: cells join their groups one by one, from the highest on."""
    height, width = values.shape
    frame = 'frame'
    group, height_of = {frame: frame}, {frame: (np.inf, 0)}

    def find(cell):
        while group[cell] != cell:
            cell = group[cell]
        return cell

    pairs = set()
    order = sorted(np.ndindex(values.shape), key=lambda c: (values[c], c[0] * width + c[1]))
    for row, column in reversed(order):
        cell = (row, column)
        group[cell], height_of[cell] = cell, (values[cell], row * width + column)
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < height and 0 <= near[1] < width
            if (near if inside else frame) in group:
                one, other = sorted(
                    (find(cell), find(near if inside else frame)), key=height_of.get
                )
                if one != other:
                    group[one] = other
                    if values[one] > values[cell]:
                        pairs.add((one, cell))
    return pairs


@settings(max_examples=60, deadline=None)
@given(MAPS)
def test_pairs_are_those_of_joining_cell_by_cell(maps):
    features = peak_persistence(maps)
    found = [set() for _ in maps]
    for number, birth, death, persistence in zip(*features, strict=True):
        birth, death = tuple(birth.tolist()), tuple(death.tolist())
        assert persistence == maps[number][birth] - maps[number][death] > 0
        found[number].add((birth, death))
    assert found == [pairs_by_cells(values) for values in maps]
    assert len(features.map) == sum(map(len, found))
    order = np.lexsort((-features.persistence, features.map))
    np.testing.assert_array_equal(order, np.arange(len(order)))


@settings(max_examples=30, deadline=None)
@given(MAPS, st.integers(1, 5), st.integers(0, 5))
def test_numbers_of_groups_that_stay_apart(maps, high, low):
    """Of the groups above one threshold as many are apart above a lower one as features live from
    the one to the other, beside the frame's."""
    low = min(high, low)
    features = peak_persistence(maps)
    births, deaths = (
        maps[features.map, cells[:, 0], cells[:, 1]] for cells in (features.birth, features.death)
    )
    for number, values in enumerate(maps):
        framed = np.pad(values, 1, constant_values=np.inf)
        groups = ndimage.label(framed >= low)[0]
        apart = np.unique(groups[framed >= high]).size
        live = (births >= high) & (deaths < low) & (features.map == number)
        assert live.sum() == apart - 1


def test_a_chain_that_ends_one_peak_in_a_round():
    """Peaks fall and saddles rise along it."""
    peaks, between = np.arange(40, 20, -1.0), np.arange(1, 20.0)
    chain = np.zeros((3, 41))
    chain[1, 1:40:2], chain[1, 2:40:2] = peaks, between
    features = peak_persistence(chain[None])
    assert len(features.map) == 20
    np.testing.assert_array_equal(np.sort(features.persistence)[:-1], np.sort(peaks[1:] - between))
    assert features.persistence[0] == peaks[0]


def test_shapes():
    assert len(peak_persistence(np.zeros((0, 4, 5))).map) == 0
    assert peak_persistence(np.ones((2, 1, 1))).birth.shape == (0, 2)
    with pytest.raises(ValueError, match=r'shape \(4, 5\), expected \(n, h, w\)'):
        peak_persistence(np.zeros((4, 5)))
