import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import PerPixelHead


@pytest.mark.parametrize('activation', ['relu', 'none'])
def test_repeats_the_density_of_a_pixel(activation):
    torch.manual_seed(0)
    features = torch.randn(2, 3, 2, 4)
    head = PerPixelHead(3, in_stride=4, out_stride=1, factor=50.0, activation=activation)
    values = F.conv2d(features, head.predict.weight, head.predict.bias) / 50
    assert (values < 0).any() and (values > 0).any()
    if activation == 'relu':
        values = values.clamp(min=0)
    expected = values.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    torch.testing.assert_close(head([features, None])['density'], expected)
    # In coarser cells the counts are the same.
    head.out_stride, head.ratio = 4, 1
    torch.testing.assert_close(head(features)['density'], 16 * values)
    head.out_stride, head.ratio = 2, 2
    torch.testing.assert_close(head(features)['density'], 4 * F.max_pool2d(expected, 2))


def test_interpolation_keeps_the_count():
    torch.manual_seed(0)
    head = PerPixelHead(3, upsample='bilinear', activation='none')
    features = torch.rand(1, 3, 3, 5)
    density = head(features)['density']
    head.upsample = 'nearest'
    repeated = head(features)['density']
    assert not torch.allclose(density, repeated)
    torch.testing.assert_close(density.sum(), repeated.sum())


@pytest.mark.parametrize(
    'kwargs',
    [dict(out_stride=3), dict(upsample='cubic'), dict(activation='abs'), dict(factor=0)],
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        PerPixelHead(4, **kwargs)
