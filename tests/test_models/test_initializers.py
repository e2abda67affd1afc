import torch
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.models import PointHead


def test_layers_start_as_pytorch_makes_them():
    start = dict(type='mmcrowd.TorchDefault', layer='Conv2d')
    torch.manual_seed(0)
    head = PointHead(16, (64,), init_cfg=start)
    head.init_weights()
    for name, bound in (('offset_convs.0.conv', 16), ('predict_logits', 64)):
        layer = head.get_submodule(name)
        bound = (bound * 9) ** -0.5  # uniform up to 1 / sqrt(inputs)
        for values, least in ((layer.weight, 0.99), (layer.bias, 0.5)):
            assert least * bound < values.abs().max() <= bound
        torch.testing.assert_close(
            layer.weight.std(), torch.tensor(bound / 3**0.5), rtol=0.05, atol=0
        )


def test_other_layers_stay():
    class Net(BaseModule):
        def __init__(self):
            super().__init__(dict(type='mmcrowd.TorchDefault', layer=['Linear']))
            self.conv, self.linear = nn.Conv2d(1, 1, 1), nn.Linear(1, 1)

    net = Net()
    nn.init.constant_(net.conv.weight, 7.0)
    nn.init.constant_(net.linear.weight, 7.0)
    net.init_weights()
    assert net.conv.weight == 7 and net.linear.weight.abs() <= 1
