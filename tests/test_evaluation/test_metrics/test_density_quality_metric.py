import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData

from mmcrowd.evaluation.functional.density_quality import blurred_truth, density_quality
from mmcrowd.evaluation.metrics.density_quality_metric import DensityQualityMetric
from mmcrowd.structures import CrowdDataSample


def make_sample(density, points):
    sample = CrowdDataSample(metainfo=dict(img_id='IMG_1', density_stride=4))
    sample.pred_density = PixelData(density=torch.as_tensor(density)[None])
    sample.gt_instances = InstanceData(points=torch.tensor(points).reshape(-1, 2))
    return sample


def test_through_the_engine():
    pytest.importorskip('skimage')
    rng = np.random.default_rng(0)
    points = [[10.0, 20.0], [30.0, 9.0]]
    densities = rng.random((3, 12, 14))
    samples = [make_sample(d, p) for d, p in zip(densities, (points, [], points), strict=True)]
    evaluator = Evaluator(DensityQualityMetric(sigma=5.0))
    evaluator.process(samples)
    metrics = evaluator.evaluate(3)
    truth = blurred_truth(points, (12, 14), 4, 5.0)
    first, last = (density_quality(densities[k], truth) for k in (0, 2))
    assert metrics == {
        f'quality/{key}': pytest.approx((first[key] + last[key]) / 2) for key in first
    }


@pytest.mark.parametrize('missing', ['pred_density', 'density_stride', 'gt_instances'])
def test_a_sample_without(missing):
    sample = make_sample(np.zeros((12, 12)), []).to_dict()
    del sample[missing]
    with pytest.raises(KeyError, match=f"image 'IMG_1': DensityQualityMetric needs {missing}"):
        DensityQualityMetric().process(None, [sample])


def test_bad_sigma():
    with pytest.raises(ValueError, match='sigma=-1, expected a positive number'):
        DensityQualityMetric(sigma=-1)
