"""What a counter asks of its loss."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mmcrowd.structures import CrowdDataSample, stack_partitions

from .checks import take_output


class OutputLoss(nn.Module, ABC):
    """Base of the losses that take the named outputs of a network as they are.

    A loss that needs only a density (or another single map) and the points derives from
    :class:`DensityLoss` instead.

    A loss that changes with the epoch asks MMEngine's message hub for it, where the runner keeps
    the number of the epoch from 0; without a runner the default holds.

    Attributes:
        host_step: Whether the host waits for values of the device, such as for a matching. Defaults
            to False.

    Examples:
        >>> import torch
        >>> from mmengine.logging import MessageHub
        >>> class LateCountLoss(OutputLoss):
        ...     def loss(self, outputs, data_samples, stride):
        ...         epoch = MessageHub.get_current_instance().get_info('epoch', 0)
        ...         counts = outputs['density'].sum((1, 2, 3))
        ...         truth = counts.new_tensor([sample.gt_count for sample in data_samples])
        ...         return dict(loss_count=float(epoch >= 5) * (counts - truth).abs().mean())
        >>> sample = CrowdDataSample(gt_count=3)
        >>> LateCountLoss().loss(dict(density=torch.ones(1, 1, 2, 2)), [sample], stride=8)
        {'loss_count': tensor(0.)}
        >>> MessageHub.get_current_instance().update_info('epoch', 5)
        >>> LateCountLoss().loss(dict(density=torch.ones(1, 1, 2, 2)), [sample], stride=8)
        {'loss_count': tensor(1.)}
    """

    host_step = False

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


class ForwardLoss(OutputLoss):
    """A density loss that knows no outputs and samples, with what a counter calls.

    Args:
        module: A module with the arguments of :meth:`DensityLoss.forward`, ``(density, points,
            stride, partition=None)``. It gets the output ``density``.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        density = take_output(outputs, 'density', self.module)
        points = [sample.gt_instances.points for sample in data_samples]
        partition = stack_partitions(data_samples, stride)
        return self.module(density, points, stride=stride, partition=partition)


def as_output_loss(module: nn.Module) -> nn.Module:
    """Give a loss the method that a counter calls, if it has none."""
    return module if hasattr(module, 'loss') else ForwardLoss(module)
