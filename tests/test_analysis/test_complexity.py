"""Parameters and operations of networks."""

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmcrowd.analysis.complexity import network_complexity
from mmcrowd.registry import MODELS
from tests.testing.networks import COUNTERS, TRANSFORMERS


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmcrowd')


def test_against_the_sum_by_hand():
    """One convolution of MCNN after the other: kernel x kernel x inputs x outputs x cells."""
    counter = MODELS.build(COUNTERS['mcnn'])
    found = network_complexity(counter, (70, 90))
    assert found.input_shape == (1, 1, 96, 96)  # grey, padded to multiples of 32
    cells = {1: 96 * 96, 2: 48 * 48, 4: 24 * 24}
    branches = [
        [(9, 1, 16, 1), (7, 16, 32, 2), (7, 32, 16, 4), (7, 16, 8, 4)],
        [(7, 1, 20, 1), (5, 20, 40, 2), (5, 40, 20, 4), (5, 20, 10, 4)],
        [(5, 1, 24, 1), (3, 24, 48, 2), (3, 48, 24, 4), (3, 24, 12, 4)],
    ]
    convolutions = [*branches[0], *branches[1], *branches[2], (1, 30, 1, 4)]
    expected = sum(k * k * i * o * cells[stride] for k, i, o, stride in convolutions)
    assert found.flops == expected
    assert found.parameters == sum(k * k * i * o + o for k, i, o, _ in convolutions)
    assert found.activations == sum(o * cells[stride] for _, _, o, stride in convolutions)


@pytest.mark.parametrize('name', ['p2pnet', 'zip'])
def test_heads_of_several_outputs(name):
    """PyTorch's own counter, which sees what runs, counts each multiply-add twice."""
    counter = MODELS.build(COUNTERS[name]).eval()
    found = network_complexity(counter, (64, 96), depth=1)
    with FlopCounterMode(display=False) as mode, torch.no_grad():
        outputs = counter(torch.rand(1, 3, 64, 96))
    assert len(outputs) > 1  # a dict again, once it has been counted
    # It leaves out normalisation and upsampling, a few operations for each activation.
    assert mode.get_total_flops() / 2 <= found.flops < 1.01 * mode.get_total_flops() / 2
    assert found.parameters == sum(each.numel() for each in counter.parameters())
    for part in ('backbone', 'head'):
        assert f'|  {part}' in found.table


@pytest.mark.parametrize('name', ['pet', 'cltr'])
def test_attention(name):
    counter = MODELS.build(TRANSFORMERS[name]).eval()
    images = counter.data_preprocessor(dict(inputs=[torch.zeros(3, 256, 256)]))['inputs']
    found = network_complexity(counter, (256, 256))
    with FlopCounterMode(display=False) as mode:
        counter(images)
    assert found.flops == pytest.approx(mode.get_total_flops() / 2, rel=0.05)


class Masked(BaseModule):
    needs_padding_mask = True
    out_stride = 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(30, 1, 1)

    def forward(self, features, padding_mask):
        cells = padding_mask[:, None, ::4, ::4]
        return dict(density=self.conv(features[0]).masked_fill(cells, 0), levels=[cells])


def test_a_part_with_a_padding_mask():
    counter = MODELS.build(COUNTERS['mcnn'])
    plain = network_complexity(counter, (32, 32)).flops
    counter.head = Masked()
    assert network_complexity(counter, (32, 32)).flops == plain


def test_bad_size():
    with pytest.raises(ValueError, match=r'size=\(0, 32\), expected positive'):
        network_complexity(MODELS.build(COUNTERS['mcnn']), (0, 32))
