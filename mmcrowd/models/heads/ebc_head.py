from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS


@MODELS.register_module()
class EBCHead(BaseModule):
    """Classify the count of every block into bins; the density is the expected count.

    The features are doubled bilinearly and go through 3x3 convolutions with ReLU; a 1x1 convolution
    predicts the logits of the bins. The density is the mean of the bin centres under the predicted
    distribution (Ma, Sanchez and Guha: *CLIP-EBC: CLIP Can Count Accurately through Enhanced
    Blockwise Classification*, arXiv 2403.09281). So ends DMCount-EBC, behind VGG-19 at stride 16.

    Args:
        bin_centres: Mean count of the blocks in each bin, the first one 0, ascending; see
            :func:`mmcrowd.datasets.count_bins.bin_centres`.
        in_channels: Channels of the features. Defaults to 512.
        mid_channels: Channels of the 3x3 convolutions. Defaults to (256, 128).
        out_stride: Side of a block in input pixels, half the stride of the features. Defaults to 8.
        norm_cfg: Normalisation behind the 3x3 convolutions. Defaults to None, as published.
        init_cfg: Defaults to Kaiming by the outputs of each convolution, as published.

    Attributes:
        size_divisor: The blocks reach the edges of images whose sides are multiples of it.
        bin_centres: Buffer ``(K,)``. It is no part of a checkpoint, as published: the config of a
            data set has them.

    Raises:
        ValueError: The bin centres do not ascend from 0, or there is only one.
    """

    def __init__(
        self,
        bin_centres: Sequence[float],
        in_channels: int = 512,
        mid_channels: Sequence[int] = (256, 128),
        out_stride: int = 8,
        norm_cfg: dict | None = None,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_out'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        centres = list(bin_centres)
        if len(centres) < 2 or centres[0] != 0 or centres != sorted(set(centres)):
            raise ValueError(
                f'EBCHead: bin_centres must be 0 and ascend from there, but got {centres}'
            )
        self.out_stride = out_stride
        self.size_divisor = 2 * out_stride
        channels = (in_channels, *mid_channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 3, padding=1)
            for c_in, c_out in zip(channels[:-1], mid_channels, strict=True)
        )
        self.norms = nn.ModuleList(
            nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, width)[1]
            for width in mid_channels
        )
        self.predict = nn.Conv2d(channels[-1], len(centres), 1)
        values = torch.tensor(centres, dtype=torch.float32)
        self.register_buffer('bin_centres', values, persistent=False)

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Distributions of a batch, float32 also under autocast.

        Args:
            features: ``(N, C, h, w)`` at twice ``out_stride``, or a sequence of levels, of which
                the first is taken.

        Returns:
            ``bin_logits`` ``(N, K, 2 * h, 2 * w)``, and ``density`` ``(N, 1, 2 * h, 2 * w)``,
            persons per block.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        x = F.interpolate(features, scale_factor=2, mode='bilinear', align_corners=False)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        logits = at_least_float32(self.predict(x))
        with torch.autocast(logits.device.type, enabled=False):
            centres = self.bin_centres.to(logits.dtype).view(-1, 1, 1)
            density = (logits.softmax(1) * centres).sum(1, keepdim=True)
        return dict(bin_logits=logits, density=density)
