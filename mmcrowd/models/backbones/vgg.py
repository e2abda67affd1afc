"""VGG with feature maps before the pooling layers."""
from mmpretrain.models.backbones import VGG as MMPretrainVGG
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class VGG(MMPretrainVGG):
    """VGG (Simonyan and Zisserman, ICLR 2015) whose outputs are taken before the pooling layers.

    Stage ``i`` (0 to 4) is the group of convolutions between two pooling layers. Its output, after
    the last ReLU and before the pool, has

    =====  ========  ======
    stage  channels  stride
    =====  ========  ======
    0      64        1
    1      128       2
    2      256       4
    3      512       8
    4      512       16
    =====  ========  ======

    Nothing behind the last chosen stage is built. Parameter names are those of
    ``mmpretrain.VGG``, so its published checkpoints load with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone')``.

    Args:
        depth (int): 11, 13, 16 or 19.
        out_stages (Sequence[int]): Stages to return, ascending. Defaults to (3, 4): the maps
            before pool4 and pool5.
        frozen_stages (int): The first so many stages keep their parameters and run in eval mode.
            Defaults to -1 (none, as 0).
        norm_cfg (dict, optional): Normalisation layer, e.g. ``dict(type='BN')``. Defaults to None.
        norm_eval (bool): Keep BN layers in eval mode while training. Defaults to False.
        init_cfg (dict | list[dict], optional): MMEngine initialisation. Defaults to None, which
            leaves the Kaiming initialisation of ``mmcv.cnn.ConvModule``.

    Attributes:
        out_channels (tuple[int]): Channels of each output.
        out_strides (tuple[int]): Stride of each output, input pixels per cell.

    Raises:
        ValueError: If ``depth``, ``out_stages`` or ``frozen_stages`` has no meaning.
    """

    def __init__(self,
                 depth,
                 out_stages=(3, 4),
                 frozen_stages=-1,
                 norm_cfg=None,
                 norm_eval=False,
                 init_cfg=None):
        out_stages = tuple(out_stages)
        if depth not in self.arch_settings:
            raise ValueError(f'VGG: depth={depth!r}, wanted one of {sorted(self.arch_settings)}')
        if not out_stages or out_stages != tuple(sorted(set(out_stages) & set(range(5)))):
            raise ValueError(f'VGG: out_stages={out_stages}, wanted ascending stages from 0 to 4')
        num_stages = out_stages[-1] + 1
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(f'VGG: frozen_stages={frozen_stages}, wanted -1 to {num_stages}, '
                             'the number of stages built')
        super().__init__(
            depth,
            num_stages=num_stages,
            dilations=(1, ) * num_stages,
            out_indices=out_stages,
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_last_pool=False,
            init_cfg=init_cfg)
        self.out_stages = out_stages
        self.out_channels = tuple(64 * 2**min(stage, 3) for stage in out_stages)
        self.out_strides = tuple(2**stage for stage in out_stages)
        self._freeze_stages()  # before an optimizer or DDP looks at requires_grad

    def forward(self, x):
        """Compute the chosen feature maps.

        Args:
            x (Tensor): Images, (N, 3, H, W).

        Returns:
            tuple[Tensor]: Per output stage (N, C, H // stride, W // stride).
        """
        outs = []
        stage = 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                if stage in self.out_stages:
                    outs.append(x)
                stage += 1
            x = layer(x)
        return (*outs, x)

    def train(self, mode=True):
        """Set the mode, keep frozen stages (and BN, with ``norm_eval``) in eval mode.

        Args:
            mode (bool): True to train. Defaults to True.

        Returns:
            VGG: self, as in PyTorch.
        """
        super().train(mode)
        return self
