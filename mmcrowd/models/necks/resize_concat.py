from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule

from mmcrowd.registry import MODELS


@MODELS.register_module()
class ResizeConcat(BaseModule):
    """Enlarge all levels of a backbone bilinearly to the finest one and stack their channels.

    It has no parameters. HRNet's own segmentation head begins so (Wang et al., TPAMI 2021), and
    FIDTM's and IIM's after it: 48 + 96 + 192 + 384 = 720 channels for HRNet-W48.

    Args:
        align_corners: Whether the centres of the corner cells, not the corners of the map, stay in
            place. Defaults to False.
    """

    def __init__(self, align_corners: bool = False):
        super().__init__()
        self.align_corners = align_corners

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stack the levels.

        Args:
            features: ``(N, C_i, h_i, w_i)``, the finest first.

        Returns:
            ``(N, sum of C_i, h_0, w_0)``.
        """
        finest, *others = features
        others = (
            F.interpolate(
                level, size=finest.shape[-2:], mode='bilinear', align_corners=self.align_corners
            )
            for level in others
        )
        return torch.cat([finest, *others], dim=1)
