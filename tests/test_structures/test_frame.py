import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.structures import (
    compose_crop,
    compose_flip,
    compose_resize,
    to_input_frame,
    to_original_frame,
    whole_image_size,
)

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just('resize'), st.integers(5, 300), st.integers(5, 300)),
        st.tuples(st.just('crop'), st.floats(0, 1), st.floats(0, 1)),
        st.just(('flip',)),
        st.tuples(st.just('pad'), st.integers(0, 50), st.integers(0, 50)),
    ),
    max_size=6,
)


def apply_chain(operations, meta, points):
    """Move points step by step, by the rule of each operation, while the meta is composed."""
    for name, *args in operations:
        h, w = meta['img_shape']
        if name == 'resize':
            scale = args[1] / w, args[0] / h
            points = (points + 0.5) * scale - 0.5
            compose_resize(meta, scale, tuple(args))
        elif name == 'crop':
            x0, y0 = int(args[0] * (w - 1)), int(args[1] * (h - 1))
            points = points - (x0, y0)
            compose_crop(meta, (x0, y0), (h - y0, w - x0))
        elif name == 'flip':
            points = np.stack([w - 1 - points[:, 0], points[:, 1]], axis=1)
            compose_flip(meta)
        else:
            compose_crop(meta, (0, 0), (h + args[0], w + args[1]))
    return points


@given(OPERATIONS)
def test_any_chain_is_kept_in_canonical_form(operations):
    points = np.array([[0.0, 0.0], [99.0, 59.0], [12.25, 33.5], [-0.5, 59.49]])
    meta = dict(ori_shape=(60, 100), img_shape=(60, 100))
    moved = apply_chain(operations, meta, points)
    np.testing.assert_allclose(to_input_frame(points, meta), moved, atol=1e-6, rtol=1e-9)
    np.testing.assert_allclose(to_original_frame(moved, meta), points, atol=1e-6)


@given(OPERATIONS)
def test_whole_image_size_knows_no_crop(operations):
    meta = dict(ori_shape=(60, 100), img_shape=(60, 100))
    size = np.array([60.0, 100.0])
    for operation in operations:
        before = meta['img_shape']
        apply_chain([operation], meta, np.zeros((0, 2)))
        if operation[0] == 'resize':
            size = size * meta['img_shape'] / before
    np.testing.assert_allclose(whole_image_size(meta), size)


def test_resize_keeps_pixel_edges():
    meta = dict(img_shape=(10, 10))
    compose_resize(meta, (2.0, 2.0), (20, 20))
    edges = to_input_frame(np.array([[-0.5, 9.5]]), meta)
    np.testing.assert_allclose(edges, [[-0.5, 19.5]])


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_dtype_and_empty(dtype):
    points = np.zeros((0, 2), dtype)
    meta = dict(img_shape=(4, 4), flip=True)
    assert to_original_frame(points, meta).dtype == dtype
    assert to_input_frame(points, meta).shape == (0, 2)


def test_integers_become_float():
    assert to_input_frame(np.array([[1, 2]]), dict(scale_factor=(0.5, 0.5))).tolist() == [
        [0.25, 0.75]
    ]


@given(OPERATIONS)
def test_tensors_move_as_arrays(operations):
    points = np.array([[0.0, 0.0], [99.0, 59.0], [12.25, 33.5]], np.float32)
    meta = dict(ori_shape=(60, 100), img_shape=(60, 100))
    apply_chain(operations, meta, points.astype(np.float64))
    for move in (to_input_frame, to_original_frame):
        moved = move(torch.from_numpy(points), meta)
        assert moved.dtype == torch.float32
        np.testing.assert_array_equal(moved.numpy(), move(points, meta))
    np.testing.assert_array_equal(points, [[0.0, 0.0], [99.0, 59.0], [12.25, 33.5]])


def test_tensors_keep_their_type_and_gradient():
    meta = dict(scale_factor=(0.5, 2.0), img_shape=(10, 20), flip=True)
    assert to_original_frame(torch.ones(1, 2, dtype=torch.float16), meta).dtype == torch.float16
    assert to_input_frame(torch.ones(1, 2, dtype=torch.int64), meta).dtype == torch.float32
    points = torch.ones(1, 2, requires_grad=True)
    to_input_frame(points, meta).sum().backward()
    assert points.grad.tolist() == [[-0.5, 2.0]]
