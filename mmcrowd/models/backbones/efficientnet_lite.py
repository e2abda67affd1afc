from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmpretrain.models.backbones import EfficientNet
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class EfficientNetLite0(EfficientNet):
    """EfficientNet-Lite0: EfficientNet-B0 for edge devices.

    The layers of ``mmpretrain.EfficientNet`` (Tan and Le, ICML 2019) with the changes of its
    authors' Lite models: no squeeze and excitation, and ReLU6 in place of Swish. Padding is
    TensorFlow's, as in the published weights. Nothing behind the last chosen stage is built.

    Stages are numbered as in mmpretrain: 0 the stem, 1 to 5 the groups of blocks at strides 2, 4,
    8, 16, 32 with 16, 24, 40, 112, 320 channels. (The blocks with 80 channels are the first of
    stage 4.)

    Args:
        out_indices: Stages to return, ascending. Defaults to (3, 4): strides 8 and 16.
        frozen_stages: This many stages, from the stem on, are not trained. Defaults to 0.
        norm_cfg: Normalisation. Defaults to batch normalisation with the published epsilon.
        norm_eval: Normalise by the stored statistics in training, too. Defaults to False.
        **kwargs: Other arguments of ``mmpretrain.EfficientNet``, such as ``with_cp``.

    Attributes:
        out_channels: Channels of the returned maps.
        out_strides: Their strides, input pixels per cell.

    Raises:
        ValueError: If ``out_indices`` or ``frozen_stages`` is none of the above.
    """

    # Kernel, channels, ratio of squeeze and excitation (0: none), stride, expansion, kind of block.
    layer_settings = {
        'l': [
            [[3, 32, 0, 2, 0, -1]],
            [[3, 16, 0, 1, 1, 0]],
            [[3, 24, 0, 2, 6, 0], [3, 24, 0, 1, 6, 0]],
            [[5, 40, 0, 2, 6, 0], [5, 40, 0, 1, 6, 0]],
            [[3, 80, 0, 2, 6, 0]] + [[3, 80, 0, 1, 6, 0]] * 2 + [[5, 112, 0, 1, 6, 0]] * 3,
            [[5, 192, 0, 2, 6, 0]] + [[5, 192, 0, 1, 6, 0]] * 3 + [[3, 320, 0, 1, 6, 0]],
            [[1, 1280, 0, 1, 0, -1]],
        ]
    }
    arch_settings = {'lite0': (1.0, 1.0, 224)}

    layers: nn.ModuleList

    def __init__(
        self,
        out_indices: Sequence[int] = (3, 4),
        frozen_stages: int = 0,
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        **kwargs,
    ):
        out_indices = tuple(out_indices)
        if not out_indices or out_indices != tuple(sorted(set(out_indices) & set(range(6)))):
            raise ValueError(f'out_indices={out_indices!r}, expected some of 0 to 5, ascending')
        super().__init__(
            'lite0',
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg or dict(type='BN', eps=1e-3),
            act_cfg=dict(type='ReLU6'),
            norm_eval=norm_eval,
            conv_cfg=dict(type='mmcrowd.DepthwiseFloat32Conv2d'),
            **kwargs,
        )
        self.layers = self.layers[: out_indices[-1] + 1]
        if frozen_stages > len(self.layers):
            raise ValueError(
                f'frozen_stages={frozen_stages!r}, expected 0 to {len(self.layers)}, the number '
                f'of stages that out_indices={out_indices!r} needs'
            )
        self.out_channels = tuple((32, 16, 24, 40, 112, 320)[stage] for stage in out_indices)
        self.out_strides = tuple((2, 2, 4, 8, 16, 32)[stage] for stage in out_indices)
        self._freeze_stages()  # now, for the optimizer and DDP look before the first train()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature maps of the chosen stages.

        Args:
            x: Images ``(N, 3, H, W)``.

        Returns:
            For each stage ``(N, C, ceil(H / stride), ceil(W / stride))``.
        """
        return super().forward(x)

    def train(self, mode: bool = True) -> nn.Module:
        """Set the mode; frozen stages, and BN under ``norm_eval``, stay in evaluation mode."""
        super().train(mode)  # returns None in mmpretrain
        return self


@MODELS.register_module()
class DepthwiseFloat32Conv2d(Conv2dAdaptivePadding):
    """Convolution with TensorFlow's padding whose depthwise form leaves bfloat16 aside on CPUs.

    oneDNN has no fast backward pass in bfloat16 for depthwise convolutions with stride 2 or kernels
    of 5: five times slower than in float32, and two thirds of a training step of EfficientNet-Lite0
    under autocast. They are computed in float32 there, and the result gets the type of the input.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve ``(N, C, H, W)``."""
        if self.groups == 1 or x.device.type != 'cpu' or x.dtype == torch.float32:
            return super().forward(x)
        with torch.autocast('cpu', enabled=False):
            return super().forward(x.float()).to(x.dtype)
