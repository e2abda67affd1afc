import cv2
import numpy as np
import pytest
import torch

from mmcrowd.models import CrowdDataPreprocessor
from mmcrowd.structures import CrowdDataSample


def batch(*shapes):
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (3, *s), dtype=torch.uint8, generator=generator) for s in shapes
    ]
    return dict(
        inputs=images, data_samples=[CrowdDataSample(metainfo=dict(img_shape=s)) for s in shapes]
    )


def test_normalise_pad_and_batch():
    data = batch((30, 40), (20, 50))
    out = CrowdDataPreprocessor(mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True)(data)
    assert out['inputs'].shape == (2, 3, 32, 64)
    rgb = data['inputs'][0].flip(0).float()
    mean, std = torch.tensor([1.0, 2, 3]).view(3, 1, 1), torch.tensor([4.0, 5, 6]).view(3, 1, 1)
    torch.testing.assert_close(out['inputs'][0, :, :30, :40], (rgb - mean) / std)
    assert (out['inputs'][0, :, 30:] == 0).all() and (out['inputs'][1, :, :, 50:] == 0).all()
    assert [s.pad_shape for s in out['data_samples']] == [(32, 64)] * 2


def test_gray_is_opencvs():
    data = batch((32, 32))
    out = CrowdDataPreprocessor(to_gray=True, mean=[0], std=[255])(data)
    bgr = data['inputs'][0].permute(1, 2, 0).numpy()
    expected = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    assert out['inputs'].shape == (1, 1, 32, 32)
    levels = (out['inputs'][0, 0] * 255).round().numpy()
    assert np.abs(levels - expected).max() <= 1  # fixed-point rounding
    assert (levels == expected).mean() > 0.99


def test_without_samples():
    out = CrowdDataPreprocessor()(dict(inputs=batch((8, 8))['inputs']))
    assert out['data_samples'] is None and out['inputs'].shape == (1, 3, 32, 32)


def test_channel_orders_exclude_each_other():
    with pytest.raises(ValueError, match='exclude'):
        CrowdDataPreprocessor(bgr_to_rgb=True, to_gray=True)
