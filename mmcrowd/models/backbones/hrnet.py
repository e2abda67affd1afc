import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, Sequential
from mmpretrain.models.backbones import HRNet as MMPretrainHRNet
from mmpretrain.models.backbones.resnet import ResLayer, get_expansion
from torch import nn

from mmcrowd.registry import MODELS


@MODELS.register_module()
class HRNetBilinear(MMPretrainHRNet):
    """HRNet whose branches are exchanged with bilinear upsampling.

    ``mmpretrain.HRNet`` enlarges the coarse branches by repeating cells, as the classification
    network does. The segmentation network (Wang et al.: *Deep High-Resolution Representation
    Learning for Visual Recognition*, TPAMI 2021), and with it the published programs of FIDTM, IIM
    and PML, interpolates bilinearly to the size of the finer branch. So images of any size go
    through, where mmpretrain needs multiples of 32.

    Parameters are named as in ``mmpretrain.HRNet``, so that its checkpoints load with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone')``.

    Args:
        arch: ``'w18'``, ``'w30'``, ``'w32'``, ``'w40'``, ``'w44'``, ``'w48'`` or ``'w64'``, the
            channels of the finest branch. Defaults to ``'w48'``.
        align_corners: Whether the centres of the corner cells, not the corners of the map, stay in
            place when a branch is enlarged. Defaults to False, as published.
        norm_cfg: Normalisation. Defaults to batch normalisation with the momentum 0.01 of the
            published programs (PyTorch's own is 0.1).
        last_exchange: Whether the branches are exchanged once more behind the last module of the
            last stage; in STEERER they are not. Defaults to True.
        **kwargs: Other arguments of ``mmpretrain.HRNet``.

    Attributes:
        out_channels: Channels of the four returned maps.
        out_strides: Their strides, input pixels per cell.
    """

    def __init__(
        self,
        arch: str = 'w48',
        align_corners: bool = False,
        norm_cfg: dict | None = None,
        last_exchange: bool = True,
        **kwargs,
    ):
        self.align_corners = align_corners  # needed while the base class builds the stages
        super().__init__(arch, norm_cfg=norm_cfg or dict(type='BN', momentum=0.01), **kwargs)
        # mmpretrain builds this stage without the arguments.
        first = self.extra['stage1']
        block = self.blocks_dict[first['block']]
        self.layer1 = ResLayer(
            block,
            in_channels=64,
            out_channels=first['num_channels'][0] * get_expansion(block),
            num_blocks=first['num_blocks'][0],
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            with_cp=self.with_cp,
        )
        self.out_channels = tuple(self.extra['stage4']['num_channels'])
        self.out_strides = (4, 8, 16, 32)
        if not last_exchange:
            self.stage4[-1].fuse_layers = None

    def _make_stage(self, *args, **kwargs) -> Sequential:
        modules = super()._make_stage(*args, **kwargs)
        return Sequential(*(BilinearExchange(module, self.align_corners) for module in modules))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature maps of the four branches.

        Args:
            x: Images ``(N, 3, H, W)``.

        Returns:
            For each branch ``(N, C, h, w)``, fine to coarse; each side is half of the one before,
            rounded up.
        """
        return super().forward(x)

    def train(self, mode: bool = True) -> 'HRNetBilinear':
        """Set the mode; BN under ``norm_eval`` stays in evaluation mode."""
        super().train(mode)  # returns None in mmpretrain
        return self


class BilinearExchange(BaseModule):
    """The parts of a module of ``mmpretrain.HRNet`` under the same names, exchanged bilinearly.

    Without ``fuse_layers`` nothing is exchanged.

    Args:
        module: ``HRModule`` of mmpretrain, whose layers are taken over.
        align_corners: See :class:`HRNetBilinear`.
    """

    def __init__(self, module: nn.Module, align_corners: bool):
        super().__init__()
        self.branches = module.branches
        self.fuse_layers = module.fuse_layers
        self.relu = module.relu
        self.align_corners = align_corners
        for i, layers in enumerate(self.fuse_layers):
            for j in range(i + 1, len(self.branches)):
                layers[j].pop(-1)  # mmpretrain's nn.Upsample, which has no parameters

    def forward(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Exchange the branches.

        Args:
            levels: For each branch ``(N, C, h, w)``, fine to coarse.

        Returns:
            Of the same shapes.
        """
        levels = [branch(level) for branch, level in zip(self.branches, levels, strict=True)]
        if self.fuse_layers is None:
            return levels
        return [
            self.relu(sum(self._bring(level, j, i, levels[i]) for j, level in enumerate(levels)))
            for i in range(len(self.fuse_layers))
        ]

    def _bring(self, level: torch.Tensor, source: int, target: int, like: torch.Tensor):
        """Bring the map of one branch to the channels and the size of another."""
        if source == target:
            return level
        level = self.fuse_layers[target][source](level)
        if source < target:
            return level
        return F.interpolate(
            level, size=like.shape[-2:], mode='bilinear', align_corners=self.align_corners
        )
