import numpy as np
import pytest
from PIL import Image

from mmcrowd.analysis.pipeline_figure import arrange, draw_stage
from mmcrowd.datasets.transforms.formatting import PackCrowdInputs
from mmcrowd.datasets.transforms.loading import LoadCrowdImage
from mmcrowd.datasets.transforms.partition import PartitionByNearestPoint
from mmcrowd.datasets.transforms.processing import RandomFlip
from mmcrowd.visualization.palette import BOX_COLOR


def make_results(points, size=(40, 60), level=90, **others):
    img = np.full((*size, 3), level, np.uint8)
    points = np.array(points, np.float32).reshape(-1, 2)
    return LoadCrowdImage()(dict(img=img, img_id='a', points=points, **others))


def draw(results, side=600):
    """The drawn image without its caption."""
    panel = draw_stage('t', results, side)
    height, width = results['inputs'].shape[1:] if 'inputs' in results else results['img'].shape[:2]
    height, width = (round(length * side / max(height, width)) for length in (height, width))
    left = (panel.shape[1] - width) // 2
    return panel[-height:, left : left + width].astype(int)


def test_a_point_lies_where_it_should():
    for point in [(12.0, 9.0), (30.25, 20.5), (59.0, 0.0)]:
        picture = draw(make_results([point]))
        assert picture.shape == (400, 600, 3)
        y, x = np.nonzero((picture != 90).any(axis=2))
        where = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
        wanted = (np.array(point) + 0.5) * 10 - 0.5
        inside = (wanted > 10) & (wanted < (590, 390))
        assert np.abs(where - wanted)[inside].max(initial=0) <= 1


def test_boxes_and_those_without_size():
    boxes = np.array([[9.5, 4.5, 19.5, 24.5], [40, 30, 40, 30], [-1e9, -9, 1e9, 50]], np.float32)
    picture = draw(make_results([[5, 5]] * 3, boxes=boxes))
    rows, cols = np.nonzero((picture == BOX_COLOR).all(axis=2))
    # Edges of pixels 9.5 and 19.5 at ten screen pixels each.
    assert (rows.min(), rows.max()) == (50, 250)
    assert (cols.min(), cols.max()) == (100, 200)


def test_cells_have_the_colour_of_their_point():
    points = np.array([[3.0, 3.0], [12.0, 4.0], [6.0, 13.0]])
    results = PartitionByNearestPoint(stride=2)(make_results(points, size=(16, 16)))
    picture = draw(results, side=64)

    # Every screen pixel by brute force: eight to a cell of two image pixels.
    y, x = np.mgrid[:64, :64] // 8 * 2 + 0.5
    nearest = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).argmin(axis=2)
    padded = np.pad(nearest, 1, mode='edge')
    border = np.zeros(nearest.shape, bool)
    for shifted in (padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]):
        border |= shifted != nearest
    py, px = np.mgrid[:64, :64]
    dots = (points + 0.5) * 4 - 0.5
    clear = np.hypot(px[..., None] - dots[:, 0], py[..., None] - dots[:, 1]).min(axis=2) > 6

    inner, outer = [], []
    for k in range(3):
        (one,) = np.unique(picture[(nearest == k) & ~border & clear], axis=0)
        (other,) = np.unique(picture[(nearest == k) & border & clear], axis=0)
        # A border is more colourful than the inside.
        assert np.ptp(other) > 2 * np.ptp(one) > 0
        inner.append(tuple(one))
        outer.append(tuple(other))
    assert len(set(inner)) == len(set(outer)) == 3


def test_cells_that_reach_beyond_the_image_keep_their_size():
    results = make_results([[3, 3], [12, 4]], size=(16, 13))
    # 4 x 4 cells of 4 px; the last column is one pixel wide.
    results['gt_partition'] = dict(index=np.repeat([[0, 0, 0, 1]], 4, axis=0))
    picture = draw(results, side=160)
    hues = picture[100] - picture[100].min(axis=1, keepdims=True)
    (border,) = np.flatnonzero(hues.argmax(axis=1)[1:] != hues.argmax(axis=1)[:-1]) + 1
    assert border == 120  # ten screen pixels to one of the image


def test_the_image_is_seen_through_the_cells():
    results = make_results([[3, 3], [12, 4]], size=(16, 16))
    results['img'][4:8, 6:12] = 200
    picture = draw(PartitionByNearestPoint(stride=2)(results), side=64)
    assert picture[20:28, 28:40].mean() > picture[40:60, 10:50].mean() + 60


def test_partition_of_nobody_is_grey():
    picture = draw(PartitionByNearestPoint(stride=2)(make_results([], size=(16, 16))), side=64)
    assert (picture == 90).all()


def test_packed_results_look_the_same():
    boxes = np.array([[5, 5, 15, 15], [30, 20, 44, 30]], np.float32)
    results = make_results([[10, 10], [37, 25]], boxes=boxes)
    results = PartitionByNearestPoint(2)(RandomFlip(prob=1.0)(results))
    before = draw_stage('t', results)
    assert np.array_equal(before, draw_stage('t', PackCrowdInputs()(results)))
    assert np.ptp(before.astype(int), axis=2).max() > 100


def test_results_are_left_as_they_are():
    results = PartitionByNearestPoint(stride=2)(make_results([[3, 3]], size=(16, 16)))
    img, points = results['img'].copy(), results['points'].copy()
    draw_stage('t', results)
    assert np.array_equal(img, results['img']) and np.array_equal(points, results['points'])


def test_an_image_that_is_not_decoded_yet(tmp_path):
    path = tmp_path / 'a.jpg'
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((120, 80)).save(path)
    panels = []
    for lazy in (False, True):
        results = LoadCrowdImage(lazy=lazy)(dict(img_path=str(path), points=np.zeros((0, 2))))
        assert isinstance(results['img'], np.ndarray) == (not lazy)
        panels.append(draw_stage('t', results))
    assert np.array_equal(*panels)


@pytest.mark.parametrize('size', [(1, 1), (1, 3000), (2000, 1), (4000, 6000)])
def test_any_size(size):
    panel = draw_stage('t', make_results([[0, 0]], size=size), side=300)
    assert 300 <= max(panel.shape) < 400


def test_unlabelled_images_say_so():
    img = np.zeros((40, 60, 3), np.uint8)
    captions = [
        draw_stage('t', LoadCrowdImage()(results))[:-400]
        for results in (dict(img=img), dict(img=img, points=np.zeros((0, 2), np.float32)))
    ]
    assert not np.array_equal(*captions)


@pytest.mark.parametrize('img', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_another_image_is_refused(img):
    with pytest.raises(ValueError, match=r'Normalize: image is .*expected uint8 \(H, W, 3\)'):
        draw_stage('Normalize', dict(img=img))


@pytest.mark.parametrize('number, columns', [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
def test_panels_in_even_rows(number, columns):
    panels = [np.tile(np.uint8([k, 255, 0]), (50 + k, 400 - k, 1)) for k in range(number)]
    picture = arrange(panels, 'title', 'details')
    corners = {}
    for k in range(number):
        rows, cols = np.nonzero((picture == (k, 255, 0)).all(axis=2))
        assert len(rows) == panels[k].shape[0] * panels[k].shape[1]
        corners[k] = (rows[0], cols[0])
    assert len({left for _, left in corners.values()}) == columns
    # In the order of reading, those of a row in line.
    assert sorted(corners, key=corners.get) == list(range(number))
    assert len({top for top, _ in corners.values()}) == -(-number // columns)
