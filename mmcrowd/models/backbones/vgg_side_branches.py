"""Backbone of LSC-CNN (Sam et al.: *Locate, Size and Count*, TPAMI 2020)."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from mmcrowd.registry import MODELS

from .vgg import VGGFeatures


@MODELS.register_module()
class VGGSideBranches(VGGFeatures):
    """VGG with a branch beside its trunk after each of the first three pooling layers.

    A branch has the layers of the stage that follows in the trunk once more, and a 3x3 convolution
    back to the channels that it began with. So a fine level has as many layers to it as a coarser
    one, and keeps its resolution.

    ``init_weights`` makes the layers of the branches copies of those of the trunk, so that a
    checkpoint of VGG starts them, too; they are trained apart.

    Args:
        depth: 11, 13, 16 or 19. Defaults to 16.
        norm_cfg: Normalisation after each convolution of VGG. Defaults to None.
        with_cp: See :class:`VGGFeatures`; a branch is one stage. Defaults to False.
        init_cfg: As for :class:`VGGFeatures`. The last convolution of a branch starts as PyTorch
            makes it.

    Attributes:
        out_channels: (64, 128, 256, 512).
        out_strides: (2, 4, 8, 16), input pixels per cell.
    """

    STAGES = (0, 1, 2)  # after whose pooling a branch begins

    def __init__(
        self,
        depth: int = 16,
        norm_cfg: dict | None = None,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(
            depth, (*self.STAGES, 4), norm_cfg=norm_cfg, with_cp=with_cp, init_cfg=init_cfg
        )
        self.out_strides = (2, 4, 8, 16)
        widths = self.out_channels[:-1]
        self.branches = nn.ModuleList(
            SideBranch(copy.deepcopy(self._stage(stage + 1)), 2 * width, width)
            for stage, width in zip(self.STAGES, widths, strict=True)
        )

    def init_weights(self) -> None:
        """Initialise the trunk, and copy its stages to the branches."""
        is_first = not self.is_init
        super().init_weights()
        if is_first:
            for stage, branch in zip(self.STAGES, self.branches, strict=True):
                layers = branch.get_submodule('layers')
                layers.load_state_dict(self._stage(stage + 1).state_dict())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of four scales.

        Args:
            x: Images ``(N, 3, H, W)``, sides multiples of 16.

        Returns:
            Results of the branches, ``(N, C, H / stride, W / stride)`` at strides 2, 4 and 8, and
            the last stage of the trunk, at stride 16.
        """
        *fine, deepest = super().forward(x)
        branched = (
            self._run([branch], F.max_pool2d(stage, 2))
            for branch, stage in zip(self.branches, fine, strict=True)
        )
        return (*branched, deepest)

    def _stage(self, number: int) -> nn.Sequential:
        """Convolutions of a stage of the trunk, with what follows each."""
        start, end = self.range_sub_modules[number]
        layers = self.features[start:end]
        return nn.Sequential(*(x for x in layers if not isinstance(x, nn.MaxPool2d)))


class SideBranch(nn.Module):
    """Layers of VGG and a convolution to fewer channels.

    Args:
        layers: The layers.
        in_channels: Channels of their result.
        out_channels: Channels of the branch.
    """

    def __init__(self, layers: nn.Sequential, in_channels: int, out_channels: int):
        super().__init__()
        self.layers = layers
        self.reduce = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, c, h, w)`` to ``(N, out_channels, h, w)``."""
        return F.relu(self.reduce(self.layers(x)))
