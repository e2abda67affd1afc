import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmcrowd.models.localizers.box_nms import BoxNMS
from mmcrowd.ops.box_overlap import box_nms


def overlap(a, b, edge, drop_contained):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(high - low + edge, 0))
    union = np.prod(a[2:] - a[:2] + edge) + np.prod(b[2:] - b[:2] + edge) - shared
    if drop_contained:
        for inner, outer in ((a, b), (b, a)):
            if (inner[:2] >= outer[:2]).all() and (inner[2:] <= outer[2:]).all():
                return 1.0
    return shared / union if union > 0 else 0.0


def brute_force(boxes, scores, threshold, edge, drop_contained):
    chosen = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(overlap(boxes[i], boxes[j], edge, drop_contained) <= threshold for j in chosen):
            chosen.append(i)
    return chosen


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(0, 9)),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.sampled_from([0.0, 1.0]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_choice_against_brute_force(corners, threshold, edge, drop_contained, seed):
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], 1).astype(float)
    scores = np.random.default_rng(seed).integers(0, 4, len(boxes)) / 4
    actual = box_nms(boxes, scores, threshold, edge, drop_contained)
    assert actual.tolist() == brute_force(boxes, scores, threshold, edge, drop_contained)


@pytest.mark.parametrize('threshold', ['0.2', '0.25', '0.5'])
def test_published_choice_of_lsc_cnn(golden_root, threshold):
    """Of the best of four scales at every cell: which scale has it, is decided as there."""
    with np.load(golden_root / 'systems' / 'lsc_cnn.npz') as stored:
        maps = [stored[f'nms/unpooled/{scale}'] for scale in range(4)]
        # The bins are listed from the finest scale on, the maps from the coarsest.
        bins = stored['box_sizes'].reshape(4, 3)[::-1]
        expected = stored[f'nms/{threshold}/points_xy_half'].tolist()
        sizes = stored[f'nms/{threshold}/boxes'].tolist()
    scores, sides = np.zeros(maps[0].shape[1:]), np.zeros(maps[0].shape[1:])
    for scale, values in enumerate(maps):
        kind = values.argmax(0)
        value = np.where(kind == 3, 0, values.max(0))
        # On equal scores the finer wins between the two coarsest, the coarser afterwards.
        better = (value >= scores) & (value > 0) if scale == 1 else value > scores
        scores = np.where(better, value, scores)
        sides = np.where(better, bins[scale][kind.clip(max=2)], sides)
    localizer = BoxNMS('sides', 1e-6, float(threshold), edge=1.0, drop_contained=True)
    outputs = dict(density=torch.from_numpy(scores), sides=torch.from_numpy(sides))
    points, _ = localizer(outputs, 1)
    side = [sides[int(y), int(x)] for x, y in points.tolist()]
    actual = [(*point, size) for point, size in zip(points.tolist(), side, strict=True)]
    assert sorted(actual) == sorted((*p, s) for p, s in zip(expected, sizes, strict=True))


def test_one_head_in_many_cells_is_one_point():
    y, x = np.mgrid[:24, :40]
    density = sum(np.exp(-((x - a) ** 2 + (y - 12) ** 2) / 8) / 25 for a in (10, 26))
    density += 1e-3 * np.random.default_rng(0).random(density.shape)
    points, scores = BoxNMS(sizes=20.0, threshold=0.01, overlap=0.1)(torch.from_numpy(density), 2)
    points = np.array(sorted(points.tolist()))
    np.testing.assert_allclose(points, [[20.5, 24.5], [52.5, 24.5]], atol=2)
    assert (scores.diff() <= 0).all()


def test_an_empty_map_has_no_points():
    points, scores = BoxNMS()(torch.zeros(4, 6), 2)
    assert points.shape == (0, 2) and scores.shape == (0,)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='sizes=0'):
        BoxNMS(sizes=0)
    with pytest.raises(ValueError, match='threshold=0'):
        BoxNMS(threshold=0)
    with pytest.raises(ValueError, match='BoxNMS: edge must not be negative, but got -5'):
        BoxNMS(edge=-5)
    with pytest.raises(TypeError, match="sizes='sides' is an output"):
        BoxNMS('sides')(torch.zeros(2, 2), 1)
    outputs = dict(density=torch.zeros(2, 2), sides=-torch.ones(2, 2))
    with pytest.raises(ValueError, match='not negative, but got'):
        BoxNMS('sides')(outputs, 1)
    with pytest.raises(ValueError, match=r'boxes\[1\] is \[2.0, 0.0, 1.0, 1.0\]'):
        box_nms(np.array([[0, 0, 1, 1], [2, 0, 1, 1]]), np.zeros(2), 0.5)
    with pytest.raises(ValueError, match='1 boxes need as many scores, but got 2'):
        box_nms(np.array([[0, 0, 1, 1]]), np.zeros(2), 0.5)
