import pytest
import torch

from mmcrowd.models import ZIPHead
from mmcrowd.registry import MODELS


def test_by_hand():
    head = ZIPHead(2, [1, 2, 5.5], out_stride=16)
    for layer in (head.predict_pi, head.predict_bins):
        layer.weight.data.zero_()
    head.predict_pi.bias.data = torch.tensor([0.25, 0.75]).log()
    head.predict_bins.bias.data = torch.tensor([0.5, 0.1, 0.4]).log()
    outputs = head(torch.randn(2, 2, 3, 4))
    shapes = {key: tuple(value.shape) for key, value in outputs.items()}
    assert shapes == dict(
        pi_logits=(2, 2, 3, 4), bin_logits=(2, 3, 3, 4), rate=(2, 1, 3, 4), density=(2, 1, 3, 4)
    )
    torch.testing.assert_close(outputs['rate'], torch.full((2, 1, 3, 4), 0.5 + 0.2 + 2.2))
    torch.testing.assert_close(outputs['density'], 0.75 * outputs['rate'])


def test_precision_and_levels():
    head = MODELS.build(dict(type='ZIPHead', in_channels=4, bin_centres=[1, 2], out_stride=32))
    assert head.out_stride == 32 and 'bin_centres' in head.state_dict()
    features = torch.randn(1, 4, 2, 2)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = head((features, None))
    assert {value.dtype for value in outputs.values()} == {torch.float32}
    assert {value.dtype for value in head.double()(features.double()).values()} == {torch.float64}


@pytest.mark.parametrize('centres', [[], [0.0, 1.0], [1.0, 3.0, 3.0]])
def test_wrong_centres(centres):
    with pytest.raises(ValueError, match='bin_centres must be positive and ascending'):
        ZIPHead(4, centres)
