"""What a loss that needs more than the density has to offer to a counter."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mmcrowd.structures import CrowdDataSample


class OutputLoss(nn.Module, ABC):
    """Base of the losses that take the named outputs of a network as they are.

    A loss that needs only a density (or another single map) and the points derives from
    :class:`DensityLoss` instead.
    """

    @abstractmethod
    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            outputs: Named outputs of the network, with the N images first. Which ones a loss needs
                it says in its own docstring.
            data_samples: For each image its sample; ``gt_instances.points`` ``(m_i, 2)`` are
                positions ``(x, y)`` in input pixels.
            stride: Input pixels per cell of the network's maps.

        Returns:
            The terms of the loss, scalars, means over the images; keys start with ``loss_``.
        """
