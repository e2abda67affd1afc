"""Places of the tiles: tests/test_systems/test_lsc_cnn.py."""

import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import CoreInference
from mmcrowd.structures import CrowdDataSample


def run(inputs, padding_mask=None):
    return dict(boxes=F.avg_pool2d(inputs, 2), logits=[inputs])


def sample(height, width):
    return CrowdDataSample(metainfo=dict(img_shape=(height, width)))


def test_the_image_is_covered_and_the_padding_is_not():
    """A short image, one with odd sides and one as large as the batch."""
    shapes = [(20, 96), (77, 93), (80, 96)]
    inputs = torch.rand(3, 2, 80, 96)
    for image, (height, width) in zip(inputs, shapes, strict=True):
        image[:, height:], image[:, :, width:] = 0, 0
    inference = CoreInference(crop_size=32, core_size=12, step=8)
    outputs = inference(run, inputs, [sample(*shape) for shape in shapes])
    assert list(outputs) == ['boxes']
    whole = F.avg_pool2d(inputs, 2)
    torch.testing.assert_close(outputs['boxes'][[0, 2]], whole[[0, 2]])
    odd = outputs['boxes'][1]
    # The last tiles of odd sides are a pixel further back.
    torch.testing.assert_close(odd[:, :20, :28], whole[1, :, :20, :28])
    assert (odd[:, :39, :47] > 0).all() and not odd[:, 39:].any() and not odd[:, :, 47:].any()


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='core_size=80, step=90, expected step <= core_size'):
        CoreInference(step=90)
    with pytest.raises(ValueError, match='positive multiples of stride=16'):
        CoreInference(stride=16)
    with pytest.raises(KeyError, match="source='density' is none of the outputs"):
        CoreInference('density')(run, torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match='has not the stride 4'):
        CoreInference(stride=4)(run, torch.zeros(1, 1, 8, 8))
