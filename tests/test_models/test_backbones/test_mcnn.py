import pytest
import torch
import torch.nn.functional as F

from mmcrowd.models.backbones import MCNN
from mmcrowd.registry import MODELS

# Kernel sizes and output channels, from the paper.
COLUMNS = (
    ((9, 16), (7, 32), (7, 16), (7, 8)),
    ((7, 20), (5, 40), (5, 20), (5, 10)),
    ((5, 24), (3, 48), (3, 24), (3, 12)),
)


@pytest.mark.parametrize('in_channels', [1, 3])
def test_is_three_columns(in_channels):
    backbone = MODELS.build(dict(type='mmcrowd.MCNN', in_channels=in_channels)).eval()
    parameters = iter(backbone.parameters())
    x = torch.rand(2, in_channels, 16, 24)
    expected = []
    with torch.no_grad():
        for column in COLUMNS:
            y = x
            for i, (kernel_size, width) in enumerate(column):
                weight, bias = next(parameters), next(parameters)
                assert weight.shape == (width, y.shape[1], kernel_size, kernel_size)
                y = F.relu(F.conv2d(y, weight, bias, padding=kernel_size // 2))
                if i < 2:
                    y = F.max_pool2d(y, 2)
            expected.append(y)
        (out,) = backbone(x)
    assert next(parameters, None) is None
    assert out.shape == (2, 30, 4, 6)
    torch.testing.assert_close(out, torch.cat(expected, dim=1))
    assert backbone.out_channels == (30,)
    assert backbone.out_strides == (4,)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    backbone = MCNN()
    backbone.init_weights()
    (out,) = backbone(torch.rand(1, 1, 32, 32))
    out.square().sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_norm():
    backbone = MCNN(norm_cfg=dict(type='BN'))
    norms = [m.num_features for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms == [width for column in COLUMNS for _, width in column]


def test_bad_in_channels():
    with pytest.raises(ValueError, match='in_channels=0, expected a positive number'):
        MCNN(in_channels=0)
