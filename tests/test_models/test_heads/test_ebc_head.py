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


def test_normalisation():
    """Between each 3x3 convolution and its ReLU; none is in a published checkpoint."""
    head = EBCHead([0, 1, 2], in_channels=2, mid_channels=(3, 4), norm_cfg=dict(type='BN'))
    assert [norm.num_features for norm in head.norms] == [3, 4]
    assert not [key for key in EBCHead([0, 1]).state_dict() if key.startswith('norms')]
    seen = []
    head.predict.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for shift in (0.0, 100.0):
        for conv in head.convs:
            conv.bias.data.fill_(shift)
        head.train()(torch.ones(1, 2, 4, 4).cumsum(2))
    torch.testing.assert_close(*seen, atol=1e-3, rtol=1e-3)  # what all cells have is taken away


@pytest.mark.parametrize('centres', [[], [0.0], [1.0, 2.0], [0.0, 3.0, 3.0]])
def test_wrong_centres(centres):
    with pytest.raises(ValueError, match='bin_centres must be 0 and ascend'):
        EBCHead(centres)
