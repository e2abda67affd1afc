import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcrowd.ops.box_kinds import BOX_SIZES, box_kinds, scale_classes


def kinds_by_hand(points, size, stride):
    """All distances, squared, in whole numbers."""
    kinds = np.zeros(size, int)
    cells = set()
    for point in points.tolist():
        x, y = (int(np.floor((v + 0.5) / stride)) for v in point)
        cells.add((min(max(x, 0), size[1] - 1), min(max(y, 0), size[0] - 1)))
    for x, y in cells:
        square = [(x - a) ** 2 + (y - b) ** 2 for a, b in cells if (a, b) != (x, y)]
        kinds[y, x] = max(sum(side**2 <= min(square, default=1e9) for side in BOX_SIZES), 1)
    return kinds


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 25),
    size=st.sampled_from([(8, 8), (16, 8), (24, 40)]),
    stride=st.sampled_from([1, 2, 5]),
)
def test_against_all_distances(seed, m, size, stride):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, stride * np.array(size[::-1]) + 2, (m, 2)).astype(np.float32)
    points[: m // 2] = points[: m // 2].round()  # on the edges between cells, too
    kinds = box_kinds(points, size, stride)
    expected = kinds_by_hand(points, size, stride)
    np.testing.assert_array_equal(kinds, expected)

    # Every head is in the cell of its scale, and in no other one.
    marked = [np.full((size[0] >> s, size[1] >> s), 3) for s in range(4)]
    for y, x in np.argwhere(expected):
        scale, box = divmod(expected[y, x] - 1, 3)
        assert marked[scale][y >> scale, x >> scale] == 3, 'two heads of one scale in one cell'
        marked[scale][y >> scale, x >> scale] = box
    for scale in range(4):
        actual = scale_classes(torch.from_numpy(kinds), scale)
        np.testing.assert_array_equal(actual, marked[scale])


def test_points_far_away_and_at_one_place():
    points = np.array([[1e12, -1e12], [3.0, 3.0], [3.1, 3.2]])
    assert np.argwhere(box_kinds(points, (8, 8), 2)).tolist() == [[0, 7], [1, 1]]
    assert not box_kinds(np.zeros((0, 2)), (4, 4), 2).any()


def test_of_several_heads_in_a_cell_the_largest_box_counts():
    kinds = torch.tensor([[[4, 5], [0, 12]]], dtype=torch.uint8)
    assert scale_classes(kinds, 1).tolist() == [[[1]]]
