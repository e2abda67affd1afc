import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from scipy.io import loadmat

from mmcrowd.registry import VISUALIZERS
from mmcrowd.structures import CrowdDataSample, to_input_frame
from mmcrowd.visualization import CrowdVisualizer
from mmcrowd.visualization.palette import PREDICTION_COLOR, TRUTH_COLOR

NO_POINTS = np.zeros((0, 2), np.float32)


def make_sample(gt=None, pred=None, density=None, **metainfo):
    sample = CrowdDataSample(metainfo=dict(density_stride=2) | metainfo)
    if gt is not None:
        sample.gt_instances = InstanceData(points=torch.tensor(gt, dtype=torch.float32))
        sample.gt_count = len(gt)
    if pred is not None:
        sample.pred_instances = InstanceData(points=torch.tensor(pred, dtype=torch.float32))
    if density is not None:
        sample.pred_density = PixelData(density=torch.tensor(density, dtype=torch.float32)[None])
        sample.pred_count = float(np.sum(density))
    return sample


def panel(drawn, image, index=0):
    """The picture in a panel of a drawing that is as wide as its pictures."""
    height, width = image.shape[:2]
    left = index * (width + 6)
    return drawn[-height:, left : left + width]


def center_of(picture, color):
    y, x = np.nonzero(np.abs(picture.astype(int) - color).max(axis=2) < 8)
    return x.mean(), y.mean()


@pytest.fixture
def visualizer():
    return VISUALIZERS.build(dict(type='CrowdVisualizer', name='test'))


def captions(visualizer, image, sample, **kwargs):
    """(title, details) of every panel, the texts only."""
    return [
        ([text for text, _ in panel.title], [text for text in panel.details if type(text) is str])
        for panel in visualizer.draw_panels('x', image, sample, **kwargs)
    ]


def test_points_and_density_lie_on_the_same_head(visualizer):
    image = np.zeros((700, 900, 3), np.uint8)
    density = np.zeros((350, 450))
    density[100:104, 300:304] = 1 / 16
    center = (2 * 302 - 0.5, 2 * 102 - 0.5)
    sample = make_sample([center], [(100.0, 600.0)], density)
    drawn = visualizer.add_datasample('x', image, sample)
    marked, shaded = panel(drawn, image), panel(drawn, image, 1)
    assert center_of(marked, TRUTH_COLOR) == pytest.approx(center, abs=0.5)
    assert center_of(marked, PREDICTION_COLOR) == pytest.approx((100, 600), abs=0.5)
    y, x = np.nonzero(shaded.max(axis=2))
    assert (x.mean(), y.mean()) == pytest.approx(center, abs=0.5)


@pytest.mark.parametrize('flip', [False, True])
def test_original_frame(visualizer, flip):
    """Truth and density of a resized, cropped and flipped input go back to the file's frame."""
    image = np.zeros((700, 900, 3), np.uint8)
    meta = dict(
        ori_shape=(700, 900),
        img_shape=(300, 401),
        scale_factor=(0.5, 0.5),
        crop_offset=(20.0, 10.0),
        flip=flip,
    )
    head = np.array([[600.0, 200.0]])
    moved = to_input_frame(head, meta)
    density = np.zeros((150, 201))
    j, i = np.round((moved[0] - 0.5) / 2).astype(int)
    density[i, j] = 1
    sample = make_sample(moved, head + 100, density, **meta)
    drawn = visualizer.add_datasample('x', image, sample)
    assert center_of(panel(drawn, image), TRUTH_COLOR) == pytest.approx(head[0], abs=0.6)
    assert center_of(panel(drawn, image), PREDICTION_COLOR) == pytest.approx(head[0] + 100, abs=0.6)
    y, x = np.nonzero(panel(drawn, image, 1).max(axis=2))
    # Half a cell is two pixels of the file.
    assert (x.mean(), y.mean()) == pytest.approx(head[0], abs=2.1)


def test_input_frame_moves_predicted_points(visualizer):
    image = np.zeros((700, 900, 3), np.uint8)
    meta = dict(ori_shape=(350, 450), img_shape=(700, 900), scale_factor=(2.0, 2.0))
    sample = make_sample(pred=[(100.0, 50.0)], **meta)
    drawn = visualizer.add_datasample('x', image, sample, frame='input')
    assert center_of(panel(drawn, image), PREDICTION_COLOR) == pytest.approx(
        (200.5, 100.5), abs=0.3
    )


def test_captions(visualizer):
    image = np.zeros((700, 900, 3), np.uint8)
    density = np.full((350, 450), 118.44 / 157500)
    sample = make_sample([(5.0, 5.0)] * 123, density=density)
    truth, prediction = captions(visualizer, image, sample)
    assert truth == (['GT 123'], ['truth'])
    assert prediction[0] == ['pred 118.4', '(\N{MINUS SIGN}4.6)']
    truth, prediction = captions(visualizer, image, sample, draw_gt=False)
    assert truth == ([], []) and prediction[0] == ['pred 118.4']
    assert captions(visualizer, image, sample, draw_pred=False) == [(['GT 123'], ['truth'])]


def test_no_zero_has_a_sign(visualizer):
    image = np.zeros((64, 64, 3), np.uint8)
    for count in (-0.0, -0.04):
        sample = make_sample(NO_POINTS, NO_POINTS)
        sample.pred_count = count
        ((title, _),) = captions(visualizer, image, sample)
        assert title == ['GT 0', 'pred 0.0', '(+0.0)']


def test_counts_follow_from_points_and_density(visualizer):
    image = np.zeros((64, 64, 3), np.uint8)
    sample = make_sample([(1.0, 1.0)], [(1.0, 1.0), (2.0, 2.0)])
    del sample.gt_count
    expected = [(['GT 1', 'pred 2.0', '(+1.0)'], ['truth', 'prediction'])]
    assert captions(visualizer, image, sample) == expected


def test_original_frame_shows_the_truth_as_annotated(visualizer):
    image = np.zeros((700, 900, 3), np.uint8)
    meta = dict(ori_shape=(700, 900), img_shape=(70, 90), scale_factor=(0.1, 0.1))
    sample = make_sample([(9.0, 9.0)], **meta)
    sample.gt_original = InstanceData(points=np.array([[600.0, 200.0]]))
    drawn = visualizer.add_datasample('x', image, sample)
    assert center_of(panel(drawn, image), TRUTH_COLOR) == pytest.approx((600, 200), abs=0.3)


def test_colour_scale_counts_persons_on_the_image(visualizer):
    """A uniform density of 2 persons per 10 x 10 pixels, at every stride and drawn size."""
    for size, stride in [((700, 900), 1), ((700, 900), 2), ((160, 96), 8), ((3200, 4000), 16)]:
        image = np.zeros((*size, 3), np.uint8)
        cells = -(-size[0] // stride), -(-size[1] // stride)
        sample = make_sample(density=np.full(cells, 0.02 * stride**2), density_stride=stride)
        _, (_, scale) = captions(visualizer, image, sample)
        assert scale == ['0', '2 persons per 10 \N{MULTIPLICATION SIGN} 10 px']


@pytest.mark.parametrize('size', [(20, 30), (48, 64), (96, 160), (600, 900)])
def test_colour_scale_is_that_of_the_density_on_small_images_too(visualizer, size):
    """One person per 10 x 10 pixels everywhere."""
    sample = make_sample(density=np.full([side // 2 for side in size], 0.04))
    image = np.zeros((*size, 3), np.uint8)
    assert captions(visualizer, image, sample)[1][1][1].startswith('1 persons per 10')
    drawn = visualizer.add_datasample('x', image, sample)
    # Nearly the upper end of the colours, wherever the border is not near.
    height, width = drawn.shape[0], (drawn.shape[1] - 6) // 2
    shaded = drawn[:, -width:][height // 4 : -height // 4, width // 4 : -width // 4]
    assert shaded.max(axis=2).min() > 200


@pytest.mark.parametrize('size', [(48, 64), (600, 900)])
def test_a_trace_of_a_person_does_not_glow(visualizer, size):
    """A hundredth of a person per 10 x 10 pixels, that is 0.3 or 54 persons in all."""
    sample = make_sample(NO_POINTS, density=np.full([side // 2 for side in size], 4e-4))
    image = np.zeros((*size, 3), np.uint8)
    assert visualizer.add_datasample('x', image, sample)[-200:, -200:].max() < 130


def test_fixed_colour_scale():
    image = np.zeros((64, 64, 3), np.uint8)
    visualizer = CrowdVisualizer(density_max=0.5)
    for total in (0, 1, 1000):
        sample = make_sample(density=np.full((32, 32), total / 1024))
        assert captions(visualizer, image, sample)[1][1][1].startswith('0.5 persons')


def test_empty_street_does_not_glow(visualizer):
    image = np.zeros((700, 900, 3), np.uint8)
    noise = np.random.default_rng(0).random((350, 450)) * 1e-6
    drawn = visualizer.add_datasample('x', image, make_sample(NO_POINTS, NO_POINTS, noise))
    assert panel(drawn, image, 1).max() < 10
    drawn = visualizer.add_datasample('x', image, make_sample(NO_POINTS, None, 0 * noise))
    assert not panel(drawn, image, 1).any()


@pytest.mark.parametrize(
    ('size', 'longer'),
    [((1, 1), 640), ((1, 900), 900), ((900, 1), 900), ((30, 40), 640), ((3333, 9999), 1600)],
)
def test_drawn_size_is_bounded(visualizer, size, longer):
    image = np.full((*size, 3), 255, np.uint8)
    cells = -(-size[0] // 2), -(-size[1] // 2)
    sample = make_sample([(0.0, 0.0)], density=np.full(cells, 0.1))
    drawn = visualizer.add_datasample('x', image, sample)
    factor = longer / max(size)
    height, width = (max(1, round(side * factor)) for side in size)
    assert height < drawn.shape[0] < height + longer / 8
    assert 2 * width < drawn.shape[1] < max(2 * width + 10, 1000)


def test_writes_to_backends_or_to_a_file(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255
    visualizer = CrowdVisualizer(
        vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path / 'run')
    )
    drawn = visualizer.add_datasample('street', image, make_sample(NO_POINTS), step=3)
    written = tmp_path / 'run' / 'vis_data' / 'vis_image' / 'street_3.png'
    assert np.array_equal(cv2.imread(str(written))[..., ::-1], drawn)
    # Red in, red out.
    assert np.all(drawn[-1, 0] == (255, 0, 0))

    out_file = tmp_path / 'new' / 'folder' / 'a.png'
    drawn = visualizer.add_datasample('other', image, make_sample(NO_POINTS), out_file=out_file)
    assert np.array_equal(cv2.imread(str(out_file))[..., ::-1], drawn)
    assert len(list(written.parent.iterdir())) == 1


def test_input_is_left_alone(visualizer):
    image = np.zeros((700, 900, 3), np.uint8)
    sample = make_sample([(5.0, 5.0)], [(9.0, 9.0)], np.ones((350, 450)))
    visualizer.add_datasample('x', image, sample)
    assert not image.any()
    assert torch.all(sample.pred_density.density == 1)


@pytest.mark.parametrize(
    ('image', 'metainfo', 'frame', 'message'),
    [
        (np.zeros((8, 8), np.uint8), {}, 'input', r'IMG_1: image is uint8 \(8, 8\)'),
        (np.zeros((8, 8, 3)), {}, 'input', r'IMG_1: image is float64'),
        (np.zeros((8, 8, 3), np.uint8), {}, 'output', "frame is 'output'"),
        (
            np.zeros((8, 8, 3), np.uint8),
            dict(ori_shape=(8, 8), img_shape=(16, 16)),
            'input',
            r'IMG_1: image is \(8, 8\), but the input frame of its sample is \(16, 16\)',
        ),
    ],
)
def test_bad_images(visualizer, image, metainfo, frame, message):
    with pytest.raises(ValueError, match=message):
        visualizer.add_datasample('IMG_1', image, make_sample(**metainfo), frame=frame)


def test_bad_density(visualizer):
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="image 'IMG_1': pred_density is not finite"):
        visualizer.add_datasample('IMG_1', image, make_sample(density=np.full((32, 32), np.nan)))
    with pytest.raises(ValueError, match=r"image 'IMG_1': pred_density has \(32, 16\) cells"):
        visualizer.add_datasample('IMG_1', image, make_sample(density=np.zeros((32, 16))))


@pytest.mark.parametrize('number', [117, 120], ids=['colour', 'grey'])
def test_real_crowds(visualizer, data_root, number):
    folder = data_root / 'ShanghaiTech' / 'part_A' / 'test_data'
    image = cv2.imread(str(folder / 'images' / f'IMG_{number}.jpg'))[..., ::-1]
    truth = loadmat(folder / 'ground-truth' / f'GT_IMG_{number}.mat')
    points = truth['image_info'][0, 0][0, 0]['location']
    height, width = image.shape[:2]
    density = np.zeros((-(-height // 2), -(-width // 2)))
    columns, rows = np.floor((points + 0.5) / 2).astype(int).T
    np.add.at(density, (rows.clip(0, len(density) - 1), columns.clip(0, density.shape[1] - 1)), 1)
    drawn = visualizer.add_datasample('x', image, make_sample(points, density=density))
    size = 2 * round(width * max(1, 640 / max(height, width))) + 6
    assert drawn.dtype == np.uint8 and drawn.shape[1] == size
