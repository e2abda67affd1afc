"""Points come back from the input frame: large images, decoded before or after their resizes."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import Compose
from PIL import Image

from mmcrowd.datasets.transforms import LoadCrowdImage
from mmcrowd.fileio.jpeg import EncodedImage
from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import to_input_frame, to_original_frame

# (h, w); the sides that do not divide by 8 have cells at the edge that are only partly inside.
SIZES = [(24, 10000), (21, 9999), (9997, 19), (600, 801), (96, 128)]

STEPS = st.one_of(
    st.builds(
        lambda longest: dict(type='ResizeToLimits', longest=longest),
        st.sampled_from([700, 2500, 8000]),
    ),
    st.builds(
        lambda low, high: dict(type='ResizeToLimits', shortest=(low, high)),
        st.sampled_from([4, 16]),
        st.sampled_from([20, 300]),
    ),
    st.builds(
        lambda size, low: dict(
            type='RandomScaleCrop', crop_size=size, scale_range=(low, 1.5 * low)
        ),
        st.sampled_from([(16, 2000), (2000, 16), (12, 40), (64, 64)]),
        st.sampled_from([0.1, 0.5, 1.0]),
    ),
    st.just(dict(type='ResizeToFit', size=(24, 640))),
    st.just(dict(type='ResizeToMultiple', divisor=8)),
    st.just(dict(type='RandomFlip', prob=0.5)),
    st.builds(lambda centred: dict(type='Pad', size_divisor=32, centred=centred), st.booleans()),
)


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    """Function of the size that writes a JPEG and gives its path."""
    folder = tmp_path_factory.mktemp('photos')

    @cache
    def write(size, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = size[::-1] if orientation > 4 else size
        path = folder / f'{size}_{orientation}.jpg'
        Image.fromarray(np.full((*stored, 3), 90, np.uint8)).save(path, exif=exif)
        return str(path)

    return write


@given(
    st.sampled_from(SIZES),
    st.lists(STEPS, max_size=5),
    st.booleans(),
    st.sampled_from([1, 2, 3, 6]),
    st.integers(0, 2**31),
)
@settings(max_examples=150)
def test_points_come_back(photo, size, chain, lazy, orientation, seed):
    """To 0.01 px of the original, up to 10,000 px: float32 keeps 0.0005 px there, at each step."""
    height, width = size
    rng = np.random.default_rng(seed)
    original = rng.uniform(-0.5, (width - 0.5, height - 0.5), (400, 2)).astype(np.float32)
    results = dict(
        img_path=photo(size, orientation),
        points=original.copy(),
        boxes=np.tile(original, 2),
        sigmas=np.ones((400, 2), np.float32),
        occlusion=np.arange(400),  # which point it is
    )
    np.random.seed(seed % 2**32)
    out = Compose([LoadCrowdImage(lazy=lazy), *map(TRANSFORMS.build, chain)])(results)

    assert out['ori_shape'] == size
    assert np.asarray(out['img']).shape[:2] == out['img'].shape[:2] == tuple(out['img_shape'])
    planned = all(step['type'].startswith('ResizeTo') for step in chain)
    if planned:
        assert isinstance(out['img'], EncodedImage) == lazy
    which = out['occlusion']
    # What compares has the truth as it was, and of the same points.
    for key, values in dict(points=original, boxes=np.tile(original, 2), sigmas=1).items():
        assert (out['gt_original'][key] == (values if key == 'sigmas' else values[which])).all()
    assert len(out['gt_original']['sigmas']) == len(which)
    back = to_original_frame(out['points'].astype(np.float64), out)
    np.testing.assert_allclose(back, original[which], rtol=0, atol=0.01)
    left_top = to_original_frame(out['boxes'][:, :2].astype(np.float64), out)
    right_bottom = to_original_frame(out['boxes'][:, 2:].astype(np.float64), out)
    for corner in (left_top, right_bottom):
        np.testing.assert_allclose(corner, original[which], rtol=0, atol=0.01)
    expected = np.sqrt(np.prod(out['scale_factor']))
    np.testing.assert_allclose(out['sigmas'], expected, rtol=1e-5)
    # Nobody is lost but by a crop.
    height, width = out['img_shape']
    crops = [step['type'] for step in chain].count('RandomScaleCrop')
    if crops == 0:
        assert len(which) == 400
    elif crops == 1 and all(step['type'] != 'Pad' for step in chain):
        final = to_input_frame(original, out)
        inside = (final > -0.49).all(1) & (final < (width - 0.51, height - 0.51)).all(1)
        assert set(np.flatnonzero(inside)) <= set(which)
