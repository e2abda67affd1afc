from collections.abc import Sequence

import torch
from torch.nn import functional as F

from mmcrowd.registry import MODELS

from .mcnn import MCNN

SMALLEST = 32  # pixels; of a side that leaves something after five poolings by 2


@MODELS.register_module()
class SwitchMCNN(MCNN):
    """The columns of MCNN, each for itself, and the trunk of the switch that chooses one of them.

    Of Switch-CNN (Babu Sam, Surya and Babu, CVPR 2017). Its input is a patch of an image, see
    :class:`~mmcrowd.models.grid_inference.GridInference`. The maps of the columns are not joined,
    so that a column that no loss asks for has no gradient, rather than one of zeros, and momentum
    does not move it.

    The switch sees grey images as three equal channels, normalised for a network that was trained
    on colours. Patches of less than 32 pixels a side are padded to that with the mean colour, for
    the switch only.

    Args:
        in_channels: Channels of the images, 1 or 3. Defaults to 1, grey.
        switch: Config of a backbone for images of three channels, of which the last level is taken.
            Defaults to None: no switch, for the stages of the training that have none.
        switch_mean: Mean of its three channels, in the units of the images. Defaults to the
            published one, in grey levels, in the order R, G, B.
        switch_std: Standard deviation of its channels. Defaults to ImageNet's.
        norm_cfg: Normalisation after each convolution of the columns. Defaults to None.
        init_cfg: Defaults to None: Kaiming for the convolutions of the columns.

    Attributes:
        out_channels: Channels of the maps of the three columns.
        out_strides: Their strides, input pixels per cell.

    Raises:
        ValueError: ``in_channels`` is neither 1 nor 3.

    Examples:
        >>> maps = SwitchMCNN()(torch.zeros(1, 1, 64, 96))
        >>> [tuple(each.shape) for each in maps]
        [(1, 8, 16, 24), (1, 10, 16, 24), (1, 12, 16, 24)]
    """

    def __init__(
        self,
        in_channels: int = 1,
        switch: dict | None = None,
        switch_mean: Sequence[float] = (122.675, 116.669, 104.008),
        switch_std: Sequence[float] = (58.395, 57.12, 57.375),
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        if in_channels not in (1, 3):
            raise ValueError(f'in_channels={in_channels!r}, expected 1 or 3')
        super().__init__(in_channels, norm_cfg, init_cfg)
        self.switch = MODELS.build(switch) if switch is not None else None
        self.switch_mean = tuple(switch_mean)
        self.switch_std = tuple(switch_std)
        self.out_channels = tuple(widths[-1] for _, widths in self.COLUMNS)
        self.out_strides = (4,) * len(self.COLUMNS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature maps.

        Args:
            x: Patches ``(N, in_channels, H, W)``.

        Returns:
            The maps ``(N, 8, h, w)``, ``(N, 10, h, w)`` and ``(N, 12, h, w)`` of the columns, with
            ``h = H // 4`` and ``w = W // 4``, and behind them, if there is a switch, its last
            level.
        """
        columns = tuple(column(x) for column in (self.column1, self.column2, self.column3))
        if self.switch is None:
            return columns
        return (*columns, self.switch(self._for_switch(x))[-1])

    def _for_switch(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images of three channels, no side below ``SMALLEST``."""
        mean, std = (
            x.new_tensor(values).view(1, 3, 1, 1) for values in (self.switch_mean, self.switch_std)
        )
        height, width = (max(SMALLEST - side, 0) for side in x.shape[-2:])
        return F.pad((x - mean) / std, (0, width, 0, height))
