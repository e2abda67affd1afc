import cv2
import numpy as np
import pytest

from mmcrowd.datasets import CrowdDataset, transforms
from mmcrowd.datasets.annotation_json import write_annotation_file
from mmcrowd.structures.point_fields import (
    POINT_FIELDS,
    PointField,
    Positions,
    truth_to_original_frame,
)


@pytest.fixture
def new_fields(monkeypatch):
    """What a file of another benchmark would add."""
    monkeypatch.setitem(POINT_FIELDS, 'visible', PointField((), np.float32, '(m,) visible share'))
    monkeypatch.setitem(POINT_FIELDS, 'shoulders', Positions((4,), np.float32, '(m, 4) two places'))


def test_a_new_field_goes_from_file_to_sample(tmp_path, new_fields):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 60, 3), np.uint8))
    entry = dict(
        img_path='a.png',
        points=[[10, 10], [50, 30]],
        visible=[0.25, 1.0],
        shoulders=[[8, 14, 12, 14], [47, 35, 53, 36]],
    )
    write_annotation_file(tmp_path / 'annotations.json', [entry])
    pipeline = [
        transforms.LoadCrowdImage(),
        transforms.ResizeToLimits(longest=30),
        transforms.RandomFlip(1.0),
        transforms.PackCrowdInputs(),
    ]
    dataset = CrowdDataset(data_root=str(tmp_path), pipeline=pipeline)
    heads = dataset[0]['data_samples'].gt_instances
    assert heads.visible.tolist() == [0.25, 1.0]
    # Halved, x' = (x + 0.5) / 2 - 0.5, and then mirrored in 30 pixels.
    expected = [[25.25, 6.75, 23.25, 6.75], [5.75, 17.25, 2.75, 17.75]]
    np.testing.assert_allclose(heads.shoulders, expected)
    np.testing.assert_allclose(
        dataset[0]['data_samples'].gt_original.shoulders, entry['shoulders'], atol=1e-6
    )


def test_rows_of_dropped_points_go(new_fields):
    results = dict(
        img=np.zeros((40, 60, 3), np.uint8),
        points=np.float32([[10, 10], [50, 30]]),
        visible=np.float32([0.25, 1.0]),
    )
    crop = transforms.RandomScaleCrop((40, 30), scale_range=(1, 1))
    results = crop(transforms.LoadCrowdImage()(results))
    x0 = int(results['crop_offset'][0])
    kept = [0.25] * (x0 <= 10 < x0 + 30) + [1.0] * (x0 <= 50 < x0 + 30)
    assert results['visible'].tolist() == kept


@pytest.mark.parametrize('key', ['points', 'boxes', 'sigmas'])
@pytest.mark.parametrize('flip', [False, True])
def test_the_way_back_is_the_inverse_of_the_steps(key, flip):
    field = POINT_FIELDS[key]
    original = np.random.default_rng(0).uniform(0, 50, (5, *field.shape))
    if key == 'boxes':  # left above right
        original[:, 2:] = original[:, :2] + np.abs(original[:, 2:])
    moved = field.shift(field.resize(original, (0.5, 2.0)), (3.0, -4.0))
    if flip:
        moved = field.flip(moved, 40)
    meta = dict(scale_factor=(0.5, 2.0), crop_offset=(3.0, -4.0), flip=flip, img_shape=(90, 40))
    back = truth_to_original_frame({key: moved, 'occlusion': [1], 'img': None}, meta)
    assert list(back) == [key]
    np.testing.assert_allclose(back[key], original)
    if key == 'boxes':
        assert (moved[:, 2:] >= moved[:, :2]).all()
