"""CSRNet without its last 1x1 convolution."""
from mmcv.cnn import ConvModule
from torch import nn

from mmcrowd.registry import MODELS

from .vgg import VGG


@MODELS.register_module()
class CSRNet(VGG):
    """CSRNet (Li, Zhang and Chen, CVPR 2018, configuration B) up to its last feature map.

    The front end is the first ten convolutions of VGG-16 (stride 8), under the parameter names of
    ``mmpretrain.VGG``, so that a VGG-16 checkpoint loads into it with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone')``. The back end is six
    3x3 convolutions with dilation 2, which widen the receptive field at the same stride. The 1x1
    convolution of the paper is the density head's.

    Args:
        frozen_stages (int): As in :class:`VGG`; of the front end. Defaults to -1 (none).
        norm_cfg (dict, optional): Normalisation layer of both ends. Defaults to None, as in the
            paper.
        norm_eval (bool): As in :class:`VGG`. Defaults to False.
        init_cfg (dict | list[dict], optional): MMEngine initialisation. Defaults to None. The back
            end starts from a normal distribution of standard deviation 0.01 (paper, section 3.3)
            before any of it, so that ``Pretrained`` alone is enough.

    Raises:
        ValueError: If ``frozen_stages`` has no meaning.
    """

    back_end_channels = (512, 512, 512, 256, 128, 64)

    def __init__(self, frozen_stages=-1, norm_cfg=None, norm_eval=False, init_cfg=None):
        super().__init__(
            depth=16,
            out_stages=(3, ),
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            init_cfg=init_cfg)
        layers = []
        in_channels = self.out_channels[0]
        for out_channels in self.back_end_channels:
            layer = ConvModule(
                in_channels, out_channels, 3, padding=2, dilation=2, bias=True, norm_cfg=norm_cfg)
            nn.init.normal_(layer.conv.weight, std=0.01)
            nn.init.zeros_(layer.conv.bias)
            layers.append(layer)
            in_channels = out_channels
        self.back_end = nn.Sequential(*layers)
        self.out_channels = (in_channels, )

    def forward(self, x):
        """Compute the feature map.

        Args:
            x (Tensor): Images, (N, 3, H, W).

        Returns:
            tuple[Tensor]: One map, (N, 64, H // 8, W // 8).
        """
        (x, ) = super().forward(x)
        return (self.back_end(x), )
