import math

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData

from mmcrowd.datasets.transforms import LoadCrowdImage, PackCrowdInputs, ResizeToLimits
from mmcrowd.evaluation.metrics.game_metric import GAMEMetric
from mmcrowd.structures import CrowdDataSample


def game_sample(density_stride=4):
    """An image of 8 x 10 input pixels, flipped and twice as large as its original."""
    meta = dict(
        img_id='IMG_3', ori_shape=(4, 5), img_shape=(8, 10), scale_factor=(2.0, 2.0), flip=True
    )
    sample = CrowdDataSample(metainfo=meta)
    if density_stride:
        sample.set_metainfo(dict(density_stride=density_stride))
    # In input pixels; two in the left half, one of them in the lower quarter.
    sample.gt_instances = InstanceData(points=torch.tensor([[1.0, 0.0], [4.4, 7.0], [4.5, 0.0]]))
    return sample


def test_game_of_a_density():
    sample = game_sample()
    # The middle column of cells covers the pixels 4 to 8, and the border is at 5: a quarter.
    density = torch.tensor([[[0.0, 4.0, 1.0], [2.0, 0.0, 0.0]]])
    sample.pred_density = PixelData(density=density)
    evaluator = Evaluator(GAMEMetric(levels=(0, 1)))
    evaluator.process([sample])
    metrics = evaluator.evaluate(1)
    # Predicted 1, 4, 2, 0, true 1, 1, 1, 0.
    assert metrics == {'count/GAME0': 4, 'count/GAME1': 4}


def test_game_of_points_is_in_the_original_frame():
    sample = game_sample(density_stride=None)
    # Brought back, the truth is on the right: x = 3.75, 2.05, 2.0 of 5 and y = -0.25, 3.25, -0.25.
    sample.pred_instances = InstanceData(points=torch.tensor([[0.0, 0.0], [4.0, 3.0], [4.0, 2.0]]))
    metric = GAMEMetric(levels=(0, 1))
    metric.process(None, [sample.to_dict()])
    # Predicted 1, 0, 0, 2, true 0, 2, 0, 1.
    assert metric.results[0].errors == (0, 4)


def test_game_of_points_takes_the_truth_as_annotated():
    """A head on the border between two regions, which belongs to the right one."""
    results = dict(
        img=np.zeros((40, 90, 3), np.uint8),
        img_id='a',
        points=np.tile(np.float32([44.5, 5]), (60, 1)),
    )
    for side in range(20, 80):
        pipeline = [LoadCrowdImage(), ResizeToLimits(longest=side), PackCrowdInputs()]
        sample = Compose(pipeline)(dict(results))['data_samples']
        sample.pred_instances = InstanceData(points=torch.from_numpy(results['points']))
        metric = GAMEMetric(levels=(1,))
        metric.process(None, [sample.to_dict()])
        assert metric.results[0].errors == (0,)


@pytest.mark.parametrize('missing', ['gt_instances', 'pred_instances', 'density_stride'])
def test_game_names_what_is_missing(missing):
    sample = game_sample(density_stride=None)
    if missing == 'density_stride':
        sample.pred_density = PixelData(density=torch.zeros(1, 2, 3))
    if missing == 'gt_instances':
        del sample.gt_instances
    with pytest.raises(KeyError, match=f"image 'IMG_3': GAMEMetric needs {missing}"):
        GAMEMetric(levels=(1,)).process(None, [sample.to_dict()])


def test_calculate_gives_the_numbers_of_the_engine():
    rng = np.random.default_rng(0)
    gt = [rng.random((m, 2)) * (50, 30) for m in (0, 4, 60)]
    pred = [rng.random((k, 2)) * (50, 30) for k in (3, 9, 50)]
    densities = [rng.random((8, 13)) for _ in gt]
    for key, values, stride in (('pred_points', pred, None), ('densities', densities, 4)):
        evaluator = Evaluator(GAMEMetric())
        for points, value in zip(gt, values, strict=True):
            meta = dict(img_id='a', ori_shape=(30, 50), img_shape=(30, 50))
            sample = CrowdDataSample(metainfo=meta)
            sample.gt_instances = InstanceData(points=torch.from_numpy(points))
            if stride:
                sample.set_metainfo(dict(density_stride=stride))
                sample.pred_density = PixelData(density=torch.from_numpy(value)[None])
            else:
                sample.pred_instances = InstanceData(points=torch.from_numpy(value))
            evaluator.process([sample])
        plain = GAMEMetric.calculate(gt, [(30, 50)] * 3, stride=stride, **{key: values})
        assert list(plain) == ['GAME1', 'GAME2', 'GAME3']
        assert evaluator.evaluate(3) == {f'count/{name}': plain[name] for name in plain}


def test_no_image():
    assert math.isnan(GAMEMetric.calculate([], [], pred_points=[])['GAME2'])


def test_density_that_does_not_fit_names_the_image():
    sample = game_sample()
    sample.pred_density = PixelData(density=torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match=r"'IMG_3': pred_density has \(2, 2\) cells.*\(8, 10\)"):
        GAMEMetric().process(None, [sample.to_dict()])


def test_bad_arguments():
    with pytest.raises(ValueError, match=r'levels=\(1, 0.5\): expected whole numbers'):
        GAMEMetric((1, 0.5))
    for predictions in ({}, dict(pred_points=[], densities=[], stride=4)):
        with pytest.raises(ValueError, match='one of pred_points and densities'):
            GAMEMetric.calculate([], [], **predictions)
    with pytest.raises(ValueError, match='stride=None: expected with densities'):
        GAMEMetric.calculate([], [], densities=[])
