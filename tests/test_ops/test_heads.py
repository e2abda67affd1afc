import math

import numpy as np
import pytest

from mmcrowd.ops.heads import HEAD_LEVELS, box_levels, box_sigmas


def test_box_sigmas_by_hand():
    boxes = [[10, 10, 16, 18], [0, 0, 7, 7], [5, 5, 5, 5], [0, 0, 24, 7]]
    # Diagonals 10, 9.899, 0, 25.
    assert box_sigmas(boxes).tolist() == [[3, 5], [3, 4], [0, 0], [3, 12]]
    assert box_sigmas([]).shape == (0, 2)


def test_box_levels_at_their_ends():
    areas = [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999, 100_000, 10**7]
    boxes = [[3, 3, 3 + area, 4] for area in areas]
    assert box_levels(boxes).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert box_levels([]).shape == (0,)
    assert len(HEAD_LEVELS) == 6


@pytest.mark.parametrize('scale', [1.0, 0.37])
def test_boxes_by_their_size_wherever_they_are(scale):
    """Sides of whole pixels around points on whole and half pixels, in single precision."""
    rng = np.random.default_rng(0)
    size = rng.integers(0, 150, (4000, 2))
    size[:400] = np.array([(3, 3), (11, 9), (2, 5), (6, 8), (10, 10), (9, 12), (25, 40), (0, 7)])[
        np.arange(400) % 8
    ]
    centres = rng.integers(0, 16_000, (4000, 2)) / 2
    boxes = np.concatenate([centres - size / 2, centres + size / 2], 1)
    # There and back, as through an input frame.
    boxes = ((boxes.astype(np.float32) + np.float32(0.5)) * np.float32(scale)).astype(np.float64)
    boxes = boxes / scale - 0.5
    sigmas = [(min(w, h) // 2, math.isqrt(w * w + h * h) // 2) for w, h in size.tolist()]
    levels = [sum(w * h >= 10**k for k in range(1, 6)) for w, h in size.tolist()]
    assert box_sigmas(boxes).tolist() == [list(pair) for pair in sigmas]
    assert box_levels(boxes).tolist() == levels


def test_sides_between_whole_pixels_are_not_rounded():
    boxes = [[0, 0, 9.98, 9.98], [0.3, 0.1, 10.3, 10.1], [0, 0, 1.6, 6.25], [0, 0, 1.2, 1.6]]
    assert box_sigmas(boxes).tolist() == [[4, 7], [5, 7], [0, 3], [0, 1]]
    assert box_levels(boxes).tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize('function', [box_sigmas, box_levels])
def test_bad_boxes(function):
    with pytest.raises(
        ValueError, match=r'boxes\[1\] is \[5.0, 0.0, 3.0, 9.0\], expected x1 <= x2'
    ):
        function([[0, 0, 1, 1], [5, 0, 3, 9]])
    with pytest.raises(ValueError, match=r'boxes have shape \(1, 2\), expected \(m, 4\)'):
        function([[0, 0]])
