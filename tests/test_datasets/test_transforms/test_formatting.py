import cv2
import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from mmcrowd.datasets import transforms
from mmcrowd.datasets.transforms import LoadCrowdImage, PackCrowdInputs, PartitionByNearestPoint

from ...testing.pipelines import make_results


def test_partition_of_the_cells():
    results = PartitionByNearestPoint(stride=4)(make_results(64, 96))
    index, distance = results['gt_partition']['index'], results['gt_partition']['distance']
    assert index.shape == distance.shape == (16, 24)
    assert (index.dtype, distance.dtype) == (np.int64, np.float32)
    y, x = np.mgrid[:16, :24] * 4 + 1.5
    expected, _ = cKDTree(results['points']).query(np.stack([x, y], -1))
    np.testing.assert_allclose(distance, expected, rtol=1e-6)


def test_partition_needs_whole_cells():
    with pytest.raises(ValueError, match='Pad'):
        PartitionByNearestPoint(stride=2)(make_results(61, 80))


def test_pack():
    results = make_results(64, 96)
    results.update(img_id='x', attributes=dict(level=2), boxes=np.zeros((50, 4), np.float32))
    results['gt_original'] = dict(points=np.arange(100.0).reshape(50, 2))
    packed = PackCrowdInputs()(PartitionByNearestPoint(2)(results))
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.shape == (3, 64, 96) and inputs.dtype == torch.uint8
    np.testing.assert_array_equal(inputs.permute(1, 2, 0), results['img'])
    assert sample.gt_count == 50 and sample.gt_instances.points.dtype == torch.float32
    assert sample.gt_instances.boxes.shape == (50, 4)
    np.testing.assert_array_equal(sample.gt_original.points, np.arange(100.0).reshape(50, 2))
    assert sample.gt_partition.index.shape == (1, 32, 48)
    assert sample.img_id == 'x' and sample.attributes == dict(level=2)


def test_pack_decodes_what_is_still_encoded(tmp_path):
    path = str(tmp_path / 'a.jpg')
    cv2.imwrite(path, make_results(64, 96)['img'])
    lazy, whole = (
        PackCrowdInputs()(LoadCrowdImage(lazy=lazy)(dict(img_path=path))) for lazy in (True, False)
    )
    assert torch.equal(lazy['inputs'], whole['inputs'])


def test_pack_without_points_has_no_truth():
    results = make_results()
    del results['points']
    sample = PackCrowdInputs()(results)['data_samples']
    assert 'gt_instances' not in sample and 'gt_count' not in sample


def make_maps(results):
    """A transform of somebody else: two targets for each pixel."""
    mask = np.zeros((1, *results['img'].shape[:2]), bool)
    x, y = results['points'].astype(int).T
    mask[0, y, x] = True
    results['gt_maps'] = dict(mask=mask, weight=1.0 + mask)
    return results


def test_maps_of_the_loader_are_packed():
    results = dict(img=np.zeros((8, 6, 3), np.uint8), points=np.float32([[2, 5]]))
    maps = PackCrowdInputs()(make_maps(results))['data_samples'].gt_maps
    assert maps.shape == (8, 6)
    assert maps.mask.nonzero().tolist() == [[0, 5, 2]]
    assert maps.weight.sum() == 49


@pytest.mark.parametrize(
    'transform',
    [
        transforms.RandomScaleCrop(4),
        transforms.ResizeToLimits(longest=4),
        transforms.ResizeToFit((4, 4)),
        transforms.ResizeToMultiple(4),
        transforms.RandomFlip(1.0),
        transforms.Pad(4),
    ],
)
def test_maps_of_the_loader_move_with_nothing(transform):
    results = make_maps(dict(img=np.zeros((8, 6, 3), np.uint8), points=np.float32([[2, 5]])))
    with pytest.raises(ValueError, match=r"gt_maps \(\['mask', 'weight'\]\) must come after"):
        transform(results)
