import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models import RegressionHead


@pytest.mark.parametrize('upsample', ['bilinear', 'nearest'])
@pytest.mark.parametrize('activation', ['abs', 'relu'])
def test_is_the_stated_formula(upsample, activation):
    torch.manual_seed(0)
    head = RegressionHead(3, (4,), out_stride=4, upsample=upsample, activation=activation)
    head.init_weights()
    features = torch.randn(2, 3, 3, 5)
    if upsample == 'nearest':
        x = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    else:  # linear between the centres of the corner cells, one axis after the other
        row, column = (torch.linspace(0, side - 1, 2 * side) for side in (3, 5))
        weights = [
            (1 - (place[:, None] - torch.arange(side)).abs()).clamp(min=0)
            for place, side in ((row, 3), (column, 5))
        ]
        x = torch.einsum('ai,bj,ncij->ncab', *weights, features)
    conv = head.convs[0]
    x = F.conv2d(x, conv.weight, conv.bias, padding=1).clamp(min=0)
    x = F.conv2d(x, head.predict.weight, head.predict.bias)
    assert (x < 0).any() and (x > 0).any()
    expected = x.abs() if activation == 'abs' else x.clamp(min=0)
    torch.testing.assert_close(head([features, None])['density'], expected)
    assert head.out_stride == 4 and head.size_divisor == 8


@pytest.mark.parametrize(
    'kwargs', [dict(out_stride=0), dict(upsample='cubic'), dict(activation='softplus')]
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        RegressionHead(4, **kwargs)
