import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.structures import CrowdDataSample


def test_fields_and_device_move():
    sample = CrowdDataSample(metainfo=dict(img_id='a', img_shape=(8, 8)))
    sample.gt_instances = InstanceData(points=torch.rand(3, 2))
    sample.gt_count = 3
    sample.pred_density = PixelData(density=torch.rand(1, 4, 4))
    sample.pred_count = 2.5
    moved = sample.to(torch.float64)
    assert moved.gt_instances.points.dtype == torch.float64
    assert (moved.gt_count, moved.pred_count, moved.img_id) == (3, 2.5, 'a')
    assert set(sample.to_dict()) >= {'gt_count', 'pred_count', 'pred_density', 'img_id'}
    del sample.pred_count
    assert 'pred_count' not in sample


@pytest.mark.parametrize(
    'name, value',
    [
        ('gt_instances', torch.zeros(1, 2)),
        ('pred_density', torch.zeros(1, 2, 2)),
        ('gt_count', 1.5),
    ],
)
def test_wrong_type_is_refused(name, value):
    with pytest.raises(AssertionError, match='should be a'):
        setattr(CrowdDataSample(), name, value)
