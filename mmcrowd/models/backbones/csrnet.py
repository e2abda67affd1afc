import itertools

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmcrowd.registry import MODELS

from .vgg import VGGFeatures


@MODELS.register_module()
class CSRNet(VGGFeatures):
    """CSRNet (Li, Zhang and Chen, CVPR 2018), configuration B, without its last 1x1 convolution.

    The front end, the first ten convolutions of VGG-16 (stride 8), has the parameter names of
    :class:`VGGFeatures`: a VGG-16 checkpoint loads with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone')``. The back end, six 3x3
    convolutions with dilation 2, sees more of the image at the same stride. It starts from a normal
    distribution of standard deviation 0.01, as in the paper, and biases of 0.

    Args:
        frozen_stages: This many stages of the front end are not trained. Defaults to -1, none.
        norm_cfg: Normalisation after each convolution. Defaults to None, as in the paper.
        norm_eval: Keep the running statistics of BN as they are. Defaults to False.
        with_cp: See :class:`VGGFeatures`; the back end is one stage. Defaults to False.
        init_cfg: Defaults to None: see above for the back end, :class:`VGGFeatures` for the front
            end.

    Raises:
        ValueError: If ``frozen_stages`` is not between -1 and 4.
    """

    BACK_END_CHANNELS = (512, 512, 512, 256, 128, 64)

    def __init__(
        self,
        frozen_stages: int = -1,
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(
            depth=16,
            out_stages=(3,),
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        channels = (*self.out_channels, *self.BACK_END_CHANNELS)
        self.back_end = nn.Sequential(
            *(
                ConvModule(c_in, c_out, 3, padding=2, dilation=2, norm_cfg=norm_cfg)
                for c_in, c_out in itertools.pairwise(channels)
            )
        )
        # Here rather than in a default init_cfg, whose place a caller's `Pretrained` would take.
        for layer in self.back_end:
            nn.init.normal_(layer.conv.weight, std=0.01)
        self.out_channels = channels[-1:]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        """Feature map.

        Args:
            x: Images ``(N, 3, H, W)``.

        Returns:
            One map ``(N, 64, H // 8, W // 8)``.
        """
        (x,) = super().forward(x)
        return (self._run(self.back_end, x),)
