import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from mmcrowd.evaluation.image_result import FORMAT, ImageResult, load_results, save_results
from mmcrowd.structures import CrowdDataSample


def full_result():
    return ImageResult(
        img_id='IMG_1',
        pred_count=2.7,
        gt_count=1,
        pred_points=[[1.25, 2.5], [3.0, 4.0]],
        pred_scores=[0.9, 0.3],
        gt_points=[[5, 6]],
        gt_sigmas=[[3, 4]],
        gt_boxes=[[2, 3, 8, 9]],
        gt_levels=[1],
        img_path='IMG_1.jpg',
        ori_shape=(480, 640),
        attributes=dict(weather=2, scene='street'),
    )


def assert_same(first, second):
    first, second = asdict(first), asdict(second)
    for key in ('ori_shape',):  # JSON has no tuples
        first[key], second[key] = (value[key] and list(value[key]) for value in (first, second))
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, second[key])
            assert value.dtype == second[key].dtype
        else:
            assert value == second[key]


def test_round_trip_through_json(tmp_path):
    results = [
        full_result(),
        ImageResult(img_id=7, pred_count=0.1),
        ImageResult(
            img_id='empty', pred_count=0.0, gt_count=0, pred_points=[], pred_scores=[], gt_points=[]
        ),
    ]
    path = tmp_path / 'new' / 'results.json'
    save_results(results, path)
    assert [p.name for p in path.parent.iterdir()] == ['results.json']
    loaded = load_results(path)
    assert [r.img_id for r in loaded] == ['IMG_1', '7', 'empty']
    for before, after in zip(results, loaded, strict=True):
        assert_same(before, after)
    assert loaded[2].pred_points.shape == loaded[2].gt_points.shape == (0, 2)
    assert loaded[2].pred_scores.shape == (0,)
    assert loaded[1].gt_count is None and loaded[1].pred_points is None


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(pred_scores=[0.5]), "image 'IMG_1': pred_scores has 1 rows, but pred_points has 2"),
        (dict(pred_points=None), 'pred_scores has 2 rows, but pred_points has none'),
        (dict(gt_points=[[1, 2], [3, 4]]), 'gt_sigmas has 1 rows, but gt_points has 2'),
        (dict(gt_boxes=[]), 'gt_boxes has 0 rows, but gt_points has 1'),
        (dict(gt_levels=[1, 2]), 'gt_levels has 2 rows, but gt_points has 1'),
        (dict(gt_points=[[1, 2, 3]]), 'cannot reshape'),
    ],
)
def test_rows_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        ImageResult(**asdict(full_result()) | changes)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"format', r'r\.json: not a JSON file of results'),
        ('[1]', rf"r\.json: format is None, expected '{FORMAT}'"),
        ('{"format": "other"}', r"r\.json: format is 'other'"),
        (
            json.dumps(dict(format=FORMAT, images=[dict(img_id='a', pred_count=1), {}])),
            r'r\.json: images\[1\]: .*img_id',
        ),
        (
            json.dumps(dict(format=FORMAT, images=[dict(img_id='a', pred_count=1, sigma=2)])),
            r'r\.json: images\[0\]: .*sigma',
        ),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / 'r.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_results(path)


def test_the_file_has_all_digits(tmp_path):
    points = np.float32([[10.500003, 1 / 3]])
    result = ImageResult(img_id='a', pred_count=1 / 3, pred_points=points, pred_scores=[1e-7])
    save_results([result], tmp_path / 'r.json')
    assert_same(result, load_results(tmp_path / 'r.json')[0])


def test_no_zero_has_a_sign_in_the_file(tmp_path):
    path = tmp_path / 'r.json'
    points = [[-0.0, 3.0]]
    save_results(
        [ImageResult(img_id='a', pred_count=-0.0, pred_points=points, pred_scores=[-0.0])], path
    )
    assert '-0' not in path.read_text()


def test_an_old_file_survives_a_failed_write(tmp_path):
    path = tmp_path / 'r.json'
    save_results([full_result()], path)
    with pytest.raises(TypeError):
        save_results([ImageResult(img_id='a', pred_count=1, attributes=dict(x=object()))], path)
    assert load_results(path)[0].img_id == 'IMG_1'


scales = st.floats(0.25, 4)
offsets = st.floats(-50, 200)
coordinates = st.floats(0, 1000)
boxes = st.tuples(coordinates, coordinates, st.floats(0, 50), st.floats(0, 50))


@given(scales, scales, offsets, offsets, st.booleans(), st.lists(boxes))
def test_truth_comes_back_to_the_original_frame(sx, sy, x0, y0, flip, heads):
    width = 700
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in heads]).reshape(-1, 4)
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    sigmas = (corners[:, 2:] - corners[:, :2]) / 2
    # What a pipeline does, step by step: resize, crop, flip.
    left, top, right, bottom = (
        (corners[:, k] + 0.5) * scale - 0.5 - offset
        for k, scale, offset in ((0, sx, x0), (1, sy, y0), (2, sx, x0), (3, sy, y0))
    )
    if flip:
        left, right = width - 1 - right, width - 1 - left
    sample = CrowdDataSample(
        metainfo=dict(
            img_id='a',
            ori_shape=(1100, 1100),
            img_shape=(500, width),
            scale_factor=(sx, sy),
            crop_offset=(x0, y0),
            flip=flip,
        )
    )
    sample.pred_count = 1.0
    sample.gt_instances = InstanceData(
        points=torch.from_numpy(np.stack([(left + right) / 2, (top + bottom) / 2], 1)),
        boxes=torch.from_numpy(np.stack([left, top, right, bottom], 1)),
        sigmas=torch.from_numpy(sigmas * np.sqrt(sx * sy)),
    )
    result = ImageResult.from_sample(sample.to_dict())
    np.testing.assert_allclose(result.gt_points, centres, atol=1e-6)
    np.testing.assert_allclose(result.gt_boxes, corners, atol=1e-6)
    np.testing.assert_allclose(result.gt_sigmas, sigmas, atol=1e-6)


def test_truth_as_annotated():
    """What a pipeline has kept of the original frame is taken as it is."""
    sample = CrowdDataSample(metainfo=dict(img_id='a', img_shape=(9, 9), scale_factor=(0.3, 0.3)))
    sample.pred_count = 0.0
    sample.gt_instances = InstanceData(points=torch.zeros(1, 2))
    kept = dict(points=[[4.5, 0.1]], boxes=[[1, 2, 3, 4]], sigmas=[[2.5, 3]])
    sample.gt_original = InstanceData(**{key: np.array(rows) for key, rows in kept.items()})
    result = ImageResult.from_sample(sample.to_dict())
    assert {key: getattr(result, f'gt_{key}').tolist() for key in kept} == kept
    sample.gt_instances = InstanceData(points=torch.zeros(3, 2))
    with pytest.raises(ValueError, match="image 'a': gt_original has 1 points, gt_instances 3"):
        ImageResult.from_sample(sample.to_dict())


def test_sigmas_and_levels_of_heads():
    known = dict(img_id='a', pred_count=1, gt_points=[[0, 0]])
    boxes, sigmas = [[0, 0, 3.5, 4]], [[1.9, 6.2]]
    result = ImageResult(**known, gt_boxes=boxes)
    assert result.head_sigmas().tolist() == [[1, 2]] and result.head_levels().tolist() == [1]
    result = ImageResult(**known, gt_boxes=boxes, gt_sigmas=sigmas, gt_levels=[4])
    assert result.head_sigmas().tolist() == [[2, 6]] and result.head_levels().tolist() == [4]
    assert ImageResult(**known).head_sigmas() is ImageResult(**known).head_levels() is None
    nobody = ImageResult(img_id='a', pred_count=1, gt_points=[])
    assert nobody.head_sigmas().shape == (0, 2) and nobody.head_levels().shape == (0,)
    with pytest.raises(ValueError, match=r"image 'a': boxes\[0\] is"):
        ImageResult(**known, gt_boxes=[[3, 0, 1, 1]]).head_levels()


def test_what_a_sample_has():
    sample = CrowdDataSample(
        metainfo=dict(
            img_id='IMG_1',
            img_path='IMG_1.jpg',
            ori_shape=(48, 64),
            img_shape=(24, 32),
            scale_factor=(0.5, 0.5),
            attributes=dict(level=2),
        )
    )
    sample.pred_count, sample.gt_count = 2.5, 1
    # Predictions are in the original frame already.
    sample.pred_instances = InstanceData(
        points=torch.tensor([[10.0, 20.0]], requires_grad=True), scores=torch.tensor([0.5])
    )
    sample.gt_instances = InstanceData(points=torch.tensor([[9.5, 9.5]]))
    result = ImageResult.from_sample(sample.to_dict())
    assert (result.img_id, result.pred_count, result.gt_count) == ('IMG_1', 2.5, 1)
    assert result.pred_points.tolist() == [[10, 20]] and result.pred_scores.tolist() == [0.5]
    assert result.gt_points.tolist() == [[19.5, 19.5]]
    assert result.gt_boxes is result.gt_sigmas is None
    assert (result.img_path, result.ori_shape) == ('IMG_1.jpg', (48, 64))
    assert result.attributes == dict(level=2)


def test_an_image_without_annotation():
    sample = CrowdDataSample(metainfo=dict(img_id='3610'))
    sample.pred_count = 4.0
    result = ImageResult.from_sample(sample.to_dict())
    assert (result.gt_count, result.gt_points, result.pred_points) == (None, None, None)


@pytest.mark.parametrize('missing', ['img_id', 'pred_count'])
def test_a_sample_without(missing):
    sample = dict(img_id='IMG_1', pred_count=1.0)
    del sample[missing]
    with pytest.raises(KeyError, match=f'ImageResult needs {missing}, the sample has none'):
        ImageResult.from_sample(sample)


@pytest.mark.parametrize('rest', ['', ', "images": {"IMG_1": 3}'], ids=['no key', 'no list'])
def test_results_without_a_list_of_images(tmp_path, rest):
    path = tmp_path / 'results.json'
    path.write_text(f'{{"format": "mmcrowd-results-1"{rest}}}')
    with pytest.raises(ValueError, match='results.json: expected a list under the key "images"'):
        load_results(path)
