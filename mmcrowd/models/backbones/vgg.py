import itertools
from collections.abc import Iterable, Sequence

import torch
from mmpretrain.models.backbones import VGG as MMPretrainVGG
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmcrowd.registry import MODELS


@MODELS.register_module(name=['VGGFeatures', 'VGG'])
class VGGFeatures(MMPretrainVGG):
    """VGG (Simonyan and Zisserman, ICLR 2015) with its feature maps before the pooling layers.

    Stage ``i`` is the ``i``-th group of convolutions between pooling layers, counted from 0. Its
    map after the last ReLU has stride ``2 ** i`` and ``64, 128, 256, 512, 512`` channels. Nothing
    behind the last chosen stage is built.

    Parameters are named as in ``mmpretrain.VGG``, so that its checkpoints load with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone')``.

    Args:
        depth: 11, 13, 16 or 19.
        out_stages: Stages to return, ascending. Defaults to (3, 4): before pool4 and before pool5.
        frozen_stages: This many stages, from the first on, are not trained. Defaults to -1, none.
        norm_cfg: Normalisation after each convolution. Defaults to None; ``dict(type='BN')`` for
            the VGG-bn networks.
        norm_eval: Keep the running statistics of BN as they are. Defaults to False.
        initial_padding: Convolutions are valid, without padding, but for the first, which pads the
            image with so many zeros on each side. Defaults to None: each is padded by 1 and keeps
            the size of its map.
        with_cp: Keep of each stage only what goes in, and compute it again in the backward pass,
            for less memory. Running statistics of BN are then updated twice in a step. Defaults to
            False.
        init_cfg: Defaults to None: Kaiming for the convolutions, as ``mmcv.cnn.ConvModule`` does
            it.

    Attributes:
        out_channels: Channels of the returned maps.
        out_strides: Their strides, input pixels per cell.

    Raises:
        ValueError: If ``depth``, ``out_stages`` or ``frozen_stages`` is none of the above.
    """

    def __init__(
        self,
        depth: int,
        out_stages: Sequence[int] = (3, 4),
        frozen_stages: int = -1,
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        initial_padding: int | None = None,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        out_stages = tuple(out_stages)
        if depth not in self.arch_settings:
            raise ValueError(f'depth={depth!r}, expected one of {tuple(self.arch_settings)}')
        if not out_stages or out_stages != tuple(sorted(set(out_stages) & set(range(5)))):
            raise ValueError(f'out_stages={out_stages!r}, expected some of 0 to 4, ascending')
        num_stages = out_stages[-1] + 1
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'frozen_stages={frozen_stages!r}, expected -1 to {num_stages}')
        super().__init__(
            depth,
            num_stages=num_stages,
            dilations=(1,) * num_stages,
            out_indices=out_stages,
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_last_pool=False,
            init_cfg=init_cfg,
        )
        self.with_cp = with_cp
        self.out_channels = tuple(64 * 2 ** min(stage, 3) for stage in out_stages)
        self.out_strides = tuple(2**stage for stage in out_stages)
        if initial_padding is not None:
            paddings = itertools.chain([initial_padding], itertools.repeat(0))
            convolutions = (m for m in self.features.modules() if isinstance(m, nn.Conv2d))
            for convolution, padding in zip(convolutions, paddings, strict=False):
                convolution.padding = (padding, padding)
        self._freeze_stages()  # now, for the optimizer and DDP look before the first train()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature maps of the chosen stages.

        Args:
            x: Images ``(N, 3, H, W)``.

        Returns:
            For each stage ``(N, C, H // stride, W // stride)``, or what valid convolutions leave.
        """
        outs: list[torch.Tensor] = []
        stage = 0
        layers: list[nn.Module] = []  # of the stage
        for layer in self.features:
            if not isinstance(layer, nn.MaxPool2d):
                layers.append(layer)
                continue
            # A pool is the only layer between stages, and does not work in place: the map that is
            # kept here stays what the last ReLU made it.
            x = self._run(layers, x)
            if stage in self.out_indices:
                outs.append(x)
            x = layer(x)
            stage += 1
            layers = []
        return (*outs, self._run(layers, x))

    def _run(self, layers: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(_through, layers, x, use_reentrant=False)
        return _through(layers, x)

    def train(self, mode: bool = True) -> 'VGGFeatures':
        """Set the mode; frozen stages, and BN under ``norm_eval``, stay in evaluation mode."""
        super().train(mode)  # returns None in mmpretrain
        return self


def _through(layers: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
    for layer in layers:
        x = layer(x)
    return x
