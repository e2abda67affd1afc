import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmcrowd.datasets.box_histogram import box_histogram, class_weights
from mmcrowd.structures import CrowdDataSample


def test_histogram():
    """A head of kind 1, one of kind 5 and one of kind 12, once more in the second pass."""
    kinds = torch.zeros(1, 8, 16, dtype=torch.uint8)
    kinds[0, 1, 1], kinds[0, 1, 9], kinds[0, 7, 15] = 1, 5, 12
    sample = CrowdDataSample(gt_maps=PixelData(box_kind=kinds))
    histogram = box_histogram([dict(data_samples=sample)], passes=2)
    expected = [[1, 0, 0, 127], [0, 1, 0, 31], [0, 0, 0, 8], [0, 0, 1, 1]]
    np.testing.assert_array_equal(histogram, 2 * np.array(expected))
    with pytest.raises(ValueError, match='a scale without box'):
        class_weights(histogram)


def test_weights_by_hand():
    """Shares 1.25, 0.5, 8 of the first scale and 3, 0, 20 of the second."""
    weights = class_weights(np.array([[5, 2, 32], [3, 0, 20]]))
    first, second = [8 / 1.25, 10, 1], [20 / 3, 10, 1]
    np.testing.assert_allclose(weights, [first, np.multiply(second, 1.75 / 3)])


def test_a_pipeline_without_kinds():
    with pytest.raises(KeyError, match='no box_kind in its gt_maps'):
        box_histogram([dict(data_samples=CrowdDataSample())])
