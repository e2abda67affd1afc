import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.dataset import Compose
from PIL import Image

from mmcrowd.datasets.transforms import (
    LoadCrowdImage,
    Pad,
    PhotoMetricDistortion,
    RandomFlip,
    RandomScaleCrop,
    ResizeByFactor,
    ResizeToLimits,
    ResizeToMultiple,
)
from mmcrowd.fileio.images import read_image_shape
from mmcrowd.fileio.jpeg import EncodedImage
from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import to_input_frame, to_original_frame

from ...testing.pipelines import make_results

GEOMETRIC = st.lists(
    st.sampled_from(
        [
            dict(type='RandomScaleCrop', crop_size=(32, 48), scale_range=(0.5, 2.0)),
            dict(type='RandomScaleCrop', crop_size=96, scale_range=(0.9, 1.1)),
            dict(type='RandomFlip', prob=1.0),
            dict(type='ResizeToLimits', longest=40),
            dict(type='ResizeToLimits', shortest=128),
            dict(type='Pad', size_divisor=32),
            dict(type='ResizeToMultiple', divisor=16),
            dict(type='ResizeByFactor', factor=1.7),
        ]
    ),
    max_size=5,
)


@given(GEOMETRIC, st.integers(0, 2**31))
@settings(deadline=None)
def test_round_trip_through_the_meta_information(chain, seed):
    """What survives any chain returns to where it was (to 0.01 px)."""
    np.random.seed(seed)
    results = make_results()
    original = results['points'].copy()
    results['boxes'] = np.tile(original, 2)

    pipeline = Compose([TRANSFORMS.build(cfg) for cfg in chain])
    out = pipeline(results)

    assert out['img'].shape[:2] == tuple(out['img_shape'])
    back = to_original_frame(out['points'], out)
    nearest = np.abs(original[None] - back[:, None]).sum(-1).argmin(1)
    assert len(set(nearest)) == len(back)
    np.testing.assert_allclose(back, original[nearest], atol=0.01)
    np.testing.assert_allclose(out['boxes'][:, :2], out['points'], atol=1e-3)
    # Exactly those survive that no crop has cut off; no operation brings a point back.
    height, width = out['img_shape']
    final = to_input_frame(original, out)
    names = [cfg['type'] for cfg in chain]
    if 'RandomScaleCrop' not in names:
        assert len(back) == len(original)
    elif names.count('RandomScaleCrop') == 1 and 'Pad' not in names:
        inside = (final > -0.49).all(1) & (final < (width - 0.51, height - 0.51)).all(1)
        assert set(np.flatnonzero(inside)) <= set(nearest)
    assert ((out['points'] >= -0.51) & (out['points'] < (width, height))).all()


@pytest.mark.parametrize('size', [(60, 80), (61, 83)])
def test_points_stay_on_their_pixels(size):
    """A bright dot is found where the transforms have put its point."""
    height, width = size
    img = np.zeros((height, width, 3), np.uint8)
    cv2.circle(img, (40, 30), 3, (255, 255, 255), -1)
    np.random.seed(3)
    for transform in (
        RandomScaleCrop(crop_size=(48, 64), scale_range=(0.8, 1.3)),
        RandomFlip(prob=1.0),
        ResizeToLimits(longest=50),
        ResizeToLimits(shortest=150),
        Pad(64),
        Pad(64, centred=True),
        ResizeToMultiple(32),
        ResizeByFactor(1.5),
    ):
        results = transform(make_results(height, width, [[40, 30]], img.copy()))
        weight = results['img'][..., 0].astype(float)
        ys, xs = np.mgrid[: weight.shape[0], : weight.shape[1]]
        centre = [(xs * weight).sum() / weight.sum(), (ys * weight).sum() / weight.sum()]
        np.testing.assert_allclose(results['points'][0], centre, atol=0.15, err_msg=repr(transform))


def test_centred_padding():
    """An odd pixel more goes to the right and to the bottom."""
    results = make_results(13, 30, [[0, 0]])
    img = results['img']
    results = Pad(8, pad_val=7, centred=True)(results)
    assert results['img'].shape == results['img_shape'] + (3,) == (16, 32, 3)
    np.testing.assert_array_equal(results['img'][1:14, 1:31], img)
    assert (results['img'][[0, 14, 15]] == 7).all() and (results['img'][:, [0, 31]] == 7).all()
    assert results['points'].tolist() == [[1, 1]]


def test_small_images_keep_their_size_in_a_crop():
    for size, expected in (((20, 90), (20, 50)), ((20, 30), (20, 30)), ((80, 90), (50, 50))):
        results = make_results(*size, [[0, 0]])
        img = results['img']
        np.random.seed(0)
        results = RandomScaleCrop(50, (1, 1), enlarge=False)(results)
        assert results['img_shape'] == results['img'].shape[:2] == expected
        x, y = map(int, results['crop_offset'])
        np.testing.assert_array_equal(results['img'], img[y : y + expected[0], x : x + expected[1]])


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 64),
    st.floats(0.05, 4),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_crop_has_its_size_for_any_image(height, width, crop, scale, seed):
    np.random.seed(seed)
    results = RandomScaleCrop(crop, (scale, scale))(make_results(height, width, [[0, 0]]))
    assert results['img'].shape == (crop, crop, 3)
    assert results['img_shape'] == (crop, crop)


def test_crop_draws_within_the_scale_range():
    np.random.seed(0)
    transform = RandomScaleCrop(20, (0.5, 1.5))
    scales = np.array([transform(make_results(200, 200))['scale_factor'] for _ in range(300)])
    assert scales.min() >= 0.49 and scales.max() <= 1.55
    assert np.ptp(scales) > 0.8


def test_crop_scales_some_of_the_images():
    np.random.seed(0)
    transform = RandomScaleCrop(20, (0.5, 0.9), scale_prob=0.3)
    scales = np.array([transform(make_results(40, 40))['scale_factor'][0] for _ in range(300)])
    assert np.count_nonzero(scales == 1) == pytest.approx(210, abs=25)
    assert scales[scales != 1].max() < 0.95


@pytest.mark.parametrize('place', ['window', 'centre'])
def test_where_crops_are(place):
    """Windows of 20 x 32 in images of 30 x 32."""
    np.random.seed(0)
    transform = RandomScaleCrop((20, 32), (1, 1), place=place)
    offsets = np.array([transform(make_results(30, 32))['crop_offset'] for _ in range(3000)])
    assert not offsets[:, 0].any()
    share = np.bincount(offsets[:, 1].astype(int), minlength=11) / len(offsets)
    expected = np.full(11, 1 / 11)
    if place == 'centre':  # centres 0 to 10, one place each, and 20 to 29
        expected = np.array([11, *[1] * 9, 10]) / 30
    np.testing.assert_allclose(share, expected, atol=0.03)


def test_crop_drops_points_outside_and_what_belongs_to_them():
    results = make_results(10, 10, [[0, 0], [9, 9], [4, 4]])
    results['boxes'] = np.zeros((3, 4), np.float32)
    np.random.seed(0)
    out = RandomScaleCrop(5, (1, 1))(results)
    x0, y0 = out['crop_offset']
    expected = [p for p in ([0, 0], [9, 9], [4, 4]) if x0 <= p[0] < x0 + 5 and y0 <= p[1] < y0 + 5]
    assert len(out['points']) == len(out['boxes']) == len(expected)


@pytest.mark.parametrize(
    'transform',
    [
        RandomScaleCrop(16),
        ResizeToLimits(20),
        RandomFlip(1.0),
        Pad(64),
        ResizeToMultiple(32),
    ],
    ids=repr,
)
def test_nothing_moves_behind_the_partition(transform):
    with pytest.raises(ValueError, match='must come after the last geometric transform'):
        transform(make_results() | dict(gt_partition=dict()))


@pytest.mark.parametrize(
    'transform',
    [
        RandomScaleCrop(16),
        ResizeToLimits(20),
        RandomFlip(1.0),
        Pad(64),
        ResizeToMultiple(32),
    ],
    ids=repr,
)
def test_unlabelled_image(transform):
    results = make_results()
    del results['points']
    assert 'points' not in transform(results)


@pytest.mark.parametrize(
    'kwargs, shape, expected',
    [
        (dict(longest=40), (60, 80), (30, 40)),
        (dict(longest=100), (60, 80), (60, 80)),
        (dict(shortest=120), (60, 80), (120, 160)),
        (dict(longest=40, shortest=35), (60, 80), (35, 47)),
        (dict(longest=10), (1, 2000), (1, 10)),
        (dict(shortest=(30, 50)), (60, 80), (50, 67)),
        (dict(shortest=[70, 90]), (60, 80), (70, 93)),
        (dict(shortest=(50, 60)), (60, 80), (60, 80)),
        (dict(shortest=(30, 50), longest=40), (60, 80), (30, 40)),
        (dict(shortest=(35, 50), longest=40), (60, 80), (35, 47)),
        # UCF-QNRF in the Bayesian loss and DM-Count.
        (dict(shortest=(512, 2048)), (4000, 6000), (2048, 3072)),
        (dict(shortest=(512, 2048)), (300, 400), (512, 683)),
    ],
)
def test_limit_side(kwargs, shape, expected):
    assert ResizeToLimits(**kwargs).size_for(*shape) == expected
    scale = ResizeToLimits(**kwargs).scale_for(*shape)
    np.testing.assert_allclose(np.maximum(np.multiply(shape, scale), 1), expected, atol=0.51)
    if max(shape) > 2000:
        return
    out = ResizeToLimits(**kwargs)(make_results(*shape, points=[]))
    assert out['img'].shape[:2] == out['img_shape'] == expected
    assert out['points'].shape == (0, 2)


@pytest.mark.parametrize(
    'shape, expected', [((9, 14), (8, 12)), ((8, 12), (8, 12)), ((3, 5), (4, 4))]
)
def test_resize_to_multiple(shape, expected):
    out = ResizeToMultiple(divisor=4)(make_results(*shape, points=[[1, 2]]))
    assert out['img'].shape[:2] == out['img_shape'] == expected
    sx, sy = expected[1] / shape[1], expected[0] / shape[0]
    np.testing.assert_allclose(out['points'], [[1.5 * sx - 0.5, 2.5 * sy - 0.5]], rtol=1e-6)


def test_photometric_keeps_geometry_and_type():
    np.random.seed(0)
    results = make_results()
    before = results['img'].copy()
    out = PhotoMetricDistortion()(results)
    assert out['img'].dtype == np.uint8 and out['img'].shape == before.shape
    assert not np.array_equal(out['img'], before)
    identity = PhotoMetricDistortion(0, 0, 0, 0)(make_results())
    np.testing.assert_array_equal(identity['img'], before)
    gray = PhotoMetricDistortion(0, 0, 0, gray_prob=1.0)(make_results())['img']
    assert (gray == gray[..., :1]).all()


def test_flip_of_boxes_keeps_corners_in_order():
    results = make_results(10, 20, [[3, 4]])
    results['boxes'] = np.array([[1, 2, 5, 6]], np.float32)
    out = RandomFlip(1.0)(results)
    assert out['boxes'].tolist() == [[14, 2, 18, 6]]
    assert out['points'].tolist() == [[16, 4]]


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: RandomScaleCrop(0), 'crop_size=0'),
        (lambda: RandomScaleCrop(10, (0, 1)), 'scale_range'),
        (lambda: RandomScaleCrop(10, scale_prob=1.5), 'scale_prob=1.5, expected a probability'),
        (lambda: RandomScaleCrop(10, place='top'), "place='top', expected one of"),
        (lambda: RandomFlip(1.5), 'prob=1.5'),
        (lambda: ResizeToLimits(10, 20), 'shortest=20'),
        (lambda: ResizeToLimits(10, (20, 30)), 'is above longest=10'),
        (lambda: ResizeToLimits(shortest=(30, 20)), 'expected .low, high.'),
        (lambda: Pad(0), 'size_divisor=0'),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_order_of_the_draws():
    """Scale, row, column: a seed gives the crops that it has always given."""
    for seed in range(20):
        out_results = make_results(200, 300)
        img = out_results['img']
        np.random.seed(seed)
        scale = max(np.random.uniform(0.5, 1.5), 120 / 200)
        h, w = round(120 / scale), round(90 / scale)
        y0, x0 = np.random.randint(200 - h + 1), np.random.randint(300 - w + 1)
        np.random.seed(seed)
        out = RandomScaleCrop((120, 90))(out_results)
        sy, sx = 120 / h, 90 / w
        np.testing.assert_allclose(out['crop_offset'], (x0 * sx, y0 * sy))
        method = cv2.INTER_AREA if scale <= 1 else cv2.INTER_LINEAR
        expected = cv2.resize(img[y0 : y0 + h, x0 : x0 + w], (90, 120), interpolation=method)
        np.testing.assert_array_equal(out['img'], expected)


@pytest.fixture
def photo(tmp_path):
    """Function that writes a JPEG with three bright dots, and the dots ``(3, 2)``."""

    def write(height=601, width=803, orientation=1):
        points = np.float32([[0.3, 0.4], [0.52, 0.48], [0.7, 0.66]]) * (width, height)
        y, x = np.mgrid[:height, :width]
        img = sum(250 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 50) for px, py in points)
        img = np.repeat(img.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        # What EXIF undoes, so that the loaded image has the dots where they were.
        stored = {1: img, 3: img[::-1, ::-1], 6: np.rot90(img)}[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f'{height}_{width}_{orientation}.jpg'
        Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=95, exif=exif)
        return str(path), points

    return write


def load(path, points, lazy):
    height, width = read_image_shape(path)
    results = make_results(height, width, points, img=False)
    results.update(img=None, img_path=path, boxes=np.tile(results['points'], 2))
    return LoadCrowdImage(lazy=lazy)(results)


def assert_dots_at(results) -> int:
    """Each point has a bright dot at its place; how many were away from the edges and checked."""
    checked = 0
    level = results['img'][..., 0].astype(float)
    size = max(results['scale_factor']) * 5
    y, x = np.mgrid[: level.shape[0], : level.shape[1]]
    for point in results['points']:
        near = np.hypot(x - point[0], y - point[1]) < 3 * size
        weight = np.where(near, level, 0)
        centre = [(x * weight).sum(), (y * weight).sum()] / weight.sum()
        # A dot that the edge cuts has another centre.
        if (point > 3 * size).all() and (point < np.array(level.shape[::-1]) - 3 * size).all():
            np.testing.assert_allclose(point, centre, atol=0.1)
            assert weight.max() > 60
            checked += 1
    return checked


@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.parametrize('size', [(601, 803), (600, 800)])
@pytest.mark.parametrize('longest', [800, 410, 230, 120, 1500])
def test_points_of_a_lazy_crop_stay_on_their_pixels(photo, size, orientation, longest):
    path, points = photo(*size, orientation)
    crop = min(longest, 800) * 4 // 10
    used, seen = set(), 0
    for seed in range(6):
        np.random.seed(seed)
        results = ResizeToLimits(longest=longest)(load(path, points, lazy=True))
        assert isinstance(results['img'], EncodedImage)
        assert results['img_shape'] == results['img'].shape[:2]
        image = results['img']
        out = RandomScaleCrop(crop, (0.7, 1.2))(results)
        used.add(image.reduction(max(out['scale_factor'])))
        assert out['img'].shape == (crop, crop, 3)
        seen += assert_dots_at(out)
        np.testing.assert_allclose(out['points'], out['boxes'][:, :2], atol=1e-3)
        expected = to_input_frame(points, out)
        inside = ((expected >= -0.5) & (expected < crop - 0.5)).all(1)
        np.testing.assert_allclose(out['points'], expected[inside], atol=1e-3)
    assert seen
    if size == (600, 800) or orientation == 1:
        assert max(used) == {800: 1, 1500: 1, 410: 2, 230: 4, 120: 8}[longest]


STEPS = {
    'flip': RandomFlip(0.5),
    'pad': Pad(64),
    'colours': PhotoMetricDistortion(),
    'crop': RandomScaleCrop((96, 128), (1.2, 2)),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=4), st.integers(0, 99))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lazy_is_the_same_where_nothing_shrinks(photo, names, seed):
    """Bit by bit."""
    outs = []
    for lazy in (False, True):
        np.random.seed(seed)
        results = load(*photo(121, 163), lazy)
        for name in names:
            results = STEPS[name](results)
        outs.append(results)
    plain, lazy = outs
    np.testing.assert_array_equal(np.asarray(lazy['img']), plain['img'])
    for key in ('points', 'boxes', 'img_shape', 'scale_factor', 'crop_offset', 'flip'):
        np.testing.assert_array_equal(lazy[key], plain[key])


@pytest.mark.parametrize('first', [ResizeToLimits(longest=300), ResizeToMultiple(64)])
@pytest.mark.parametrize('then', ['flip', 'pad', 'colours'])
@pytest.mark.parametrize('size', [(601, 803), (600, 800)])
def test_planned_pixels_are_nearly_those_of_a_resize(photo, first, then, size):
    plain, lazy = (first(load(*photo(*size), lazy)) for lazy in (False, True))
    assert isinstance(lazy['img'], EncodedImage)
    results = []
    for result in (plain, lazy):
        np.random.seed(2)
        results.append(STEPS[then](result))
    plain, lazy = results
    pixels = np.asarray(lazy['img'])
    assert pixels.dtype == np.uint8 and pixels.shape == plain['img'].shape
    assert np.abs(pixels.astype(int) - plain['img']).max() <= 12
    for key in ('points', 'boxes', 'img_shape', 'scale_factor', 'crop_offset', 'flip'):
        np.testing.assert_array_equal(lazy[key], plain[key])


@pytest.mark.parametrize(
    'older, name, kwargs',
    [
        ('LimitSide', 'ResizeToLimits', dict(longest=64)),
        ('RandomHorizontalFlip', 'RandomFlip', dict(prob=0.25)),
        ('PhotometricDistortion', 'PhotoMetricDistortion', dict(contrast=0.1)),
        ('PadToMultiple', 'Pad', dict(divisor=8, pad_value=3)),
    ],
)
def test_older_names_in_configs(older, name, kwargs):
    transform = TRANSFORMS.build(dict(type=older, **kwargs))
    assert isinstance(transform, TRANSFORMS.get(name))
    assert all(f'{value}' in repr(transform) for value in kwargs.values())
