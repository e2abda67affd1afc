"""Ways for parameters to start, for ``init_cfg``."""

from collections.abc import Callable

from mmengine.model import BaseInit
from torch import nn

from mmcrowd.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='TorchDefault')
class TorchDefaultInit(BaseInit):
    """Start layers as PyTorch does, weights and biases, whatever they started with before.

    For networks whose published program leaves its layers as they are made, such as P2PNet.

    Args:
        layer: Class name, or names, of the layers that this applies to.

    Examples:
        >>> conv = nn.Conv2d(1, 1, 2)
        >>> nn.init.constant_(conv.bias, 7.0)
        Parameter containing:
        tensor([7.], requires_grad=True)
        >>> TorchDefaultInit(layer='Conv2d')(nn.Sequential(conv))
        >>> bool(conv.bias.abs() <= 0.5)
        True
    """

    def __init__(self, layer: str | list[str]):
        super().__init__(layer=layer)

    def __call__(self, module: nn.Module) -> None:
        for each in module.modules():
            if type(each).__name__ in self.layer:
                reset: Callable[[], None] = getattr(each, 'reset_parameters')  # noqa: B009
                reset()
