import pytest
import torch

from mmcrowd.models import EBCHead
from mmcrowd.registry import MODELS


def test_by_hand():
    head = EBCHead([0, 1, 2.5], in_channels=2, mid_channels=(3,))
    assert head.out_stride == 8 and head.size_divisor == 16
    head.predict.weight.data.zero_()
    head.predict.bias.data = torch.tensor([0.5, 0.1, 0.4]).log()
    outputs = head(torch.randn(2, 2, 3, 4))
    assert outputs['bin_logits'].shape == (2, 3, 6, 8)
    torch.testing.assert_close(outputs['density'], torch.full((2, 1, 6, 8), 0.1 + 1.0))


def test_precision_and_levels():
    head = MODELS.build(dict(type='EBCHead', bin_centres=[0, 1], in_channels=4))
    assert 'bin_centres' not in head.state_dict()
    features = torch.randn(1, 4, 2, 2)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = head((features, None))
    assert {value.dtype for value in outputs.values()} == {torch.float32}
    assert {value.dtype for value in head.double()(features.double()).values()} == {torch.float64}


@pytest.mark.parametrize('centres', [[], [0.0], [1.0, 2.0], [0.0, 3.0, 3.0]])
def test_wrong_centres(centres):
    with pytest.raises(ValueError, match='bin_centres must be 0 and ascend'):
        EBCHead(centres)
