import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.structures import CrowdDataSample, SampleReader


def make_sample(**metainfo):
    sample = CrowdDataSample(metainfo=dict(img_id='IMG_1') | metainfo)
    sample.gt_instances = InstanceData(
        points=torch.tensor([[1.0, 2.0]]), boxes=torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    )
    return sample


def test_sample_and_its_dict_read_alike():
    sample = make_sample(img_shape=(7, 10), density_stride=4, flip=True)
    density = torch.rand(1, 2, 3, dtype=torch.bfloat16, requires_grad=True)
    sample.pred_density = PixelData(density=density)
    sample.pred_instances = InstanceData(points=torch.rand(4, 2), scores=torch.rand(4))
    sample.gt_partition = PixelData(index=torch.tensor([[[0, -1]]]))
    for form in (sample, sample.to_dict()):
        read = SampleReader(form, 'test')
        assert read.gt_points.tolist() == [[1, 2]] and read.gt_boxes.tolist() == [[0, 1, 2, 3]]
        assert read.pred_points.shape == (4, 2) and read.pred_scores.shape == (4,)
        assert read.density.shape == (2, 3) and read.stride() == 4
        assert read.density.dtype == read.pred_points.dtype == np.float64
        assert read.partition_index.tolist() == [[0, -1]]
        assert read.original_truth['points'].tolist() == [[8, 2]]
        assert read.value('density_stride') == 4 and read.get('gt_count', 7) == 7


def test_what_is_not_there_is_none():
    read = SampleReader({}, 'test')
    for value in (read.img_id, read.gt_points, read.gt_boxes, read.pred_points, read.pred_scores):
        assert value is None
    assert read.density is None and read.partition_index is None and read.original_truth == {}


def test_truth_as_annotated_is_taken_as_it_is():
    sample = make_sample(img_shape=(9, 9), scale_factor=(0.3, 0.3))
    sample.gt_original = InstanceData(points=np.array([[4.1, 7.3]]))
    assert SampleReader(sample, 'test').original_truth['points'].tolist() == [[4.1, 7.3]]
    sample.gt_original = InstanceData(points=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="'IMG_1': gt_original has 3 points, gt_instances 1"):
        _ = SampleReader(sample, 'test').original_truth


def test_errors_name_image_and_key():
    sample = make_sample()
    read = SampleReader(sample, 'Judge')
    with pytest.raises(KeyError, match="'IMG_1': Judge needs pred_count, the sample has none; ask"):
        read.require('gt_instances', 'pred_count', hint='ask for it')
    with pytest.raises(KeyError, match="'IMG_1': Judge needs pred_density"):
        read.stride()
    with pytest.raises(KeyError, match="'a street': Judge needs pred_count"):
        SampleReader(sample, 'Judge', 'a street').value('pred_count')


def test_density_that_cannot_be():
    sample = make_sample(img_shape=(8, 9), density_stride=4)
    sample.pred_density = PixelData(density=torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match=r"'IMG_1': pred_density has \(2, 2\) cells"):
        SampleReader(sample, 'test').stride()
    assert SampleReader(sample, 'test').stride(img_shape=(8, 8)) == 4
    sample.pred_density = PixelData(density=torch.full((1, 2, 3), torch.nan))
    with pytest.raises(ValueError, match="'IMG_1': pred_density is not finite everywhere"):
        SampleReader(sample, 'test').stride()
