from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS


@MODELS.register_module()
class ZIPHead(BaseModule):
    r"""Predict a zero-inflated Poisson distribution of the count of every block.

    With probability :math:`\pi` a block is structurally empty; otherwise its count is Poisson with
    the rate :math:`\lambda`, the mean of the bin centres under the predicted distribution over the
    bins of non-zero counts. The density is the expected count :math:`(1 - \pi) \lambda` (Ma,
    Sanchez and Guha: *ZIP: Scalable Crowd Counting via Zero-Inflated Poisson Modeling*, arXiv
    2506.19955). Two 1x1 convolutions predict the logits of both.

    Args:
        in_channels: Channels of the features.
        bin_centres: Mean count of the blocks in each bin of non-zero counts, ascending; see
            :func:`mmcrowd.datasets.count_bins.bin_centres`.
        out_stride: Side of a block in input pixels, which is the stride of the features. Defaults
            to 16.
        init_cfg: Defaults to Kaiming by the outputs of each convolution, as published.

    Attributes:
        bin_centres: Buffer ``(K,)``, part of a checkpoint.

    Raises:
        ValueError: The bin centres are not positive and ascending, or there are none.
    """

    def __init__(
        self,
        in_channels: int,
        bin_centres: Sequence[float],
        out_stride: int = 16,
        init_cfg=dict(type='Kaiming', layer='Conv2d', mode='fan_out'),  # noqa: B006
    ):
        super().__init__(init_cfg)
        centres = list(bin_centres)
        if not centres or not all(
            low < high for low, high in zip([0, *centres], centres, strict=False)
        ):
            raise ValueError(
                f'ZIPHead: bin_centres must be positive and ascending, but got {centres}'
            )
        self.out_stride = out_stride
        self.predict_pi = nn.Conv2d(in_channels, 2, 1)
        self.predict_bins = nn.Conv2d(in_channels, len(centres), 1)
        self.register_buffer('bin_centres', torch.tensor(centres, dtype=torch.float32))

    def forward(self, features: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Distributions of a batch, float32 also under autocast.

        Args:
            features: ``(N, C, h, w)``, or a sequence of levels, of which the first is taken.

        Returns:
            ``pi_logits`` ``(N, 2, h, w)``, channel 0 for structurally empty; ``bin_logits``
            ``(N, K, h, w)``; ``rate`` ``(N, 1, h, w)`` and ``density`` ``(N, 1, h, w)``, persons
            per block.
        """
        if not isinstance(features, torch.Tensor):
            features = features[0]
        pi_logits, bin_logits = (
            at_least_float32(predict(features)) for predict in (self.predict_pi, self.predict_bins)
        )
        with torch.autocast(features.device.type, enabled=False):
            centres = self.bin_centres.to(bin_logits.dtype).view(-1, 1, 1)
            rate = (bin_logits.softmax(1) * centres).sum(1, keepdim=True)
            density = pi_logits.softmax(1)[:, 1:] * rate
        return dict(pi_logits=pi_logits, bin_logits=bin_logits, rate=rate, density=density)
