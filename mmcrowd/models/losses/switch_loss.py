"""The three stages of the training of Switch-CNN (Babu Sam, Surya and Babu: *Switching
Convolutional Neural Network for Crowd Counting*, CVPR 2017)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub
from torch import Tensor

from mmcrowd.ops.checks import check_at_least
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .checks import take_output
from .output_loss import OutputLoss, as_output_loss


@torch.no_grad()
def best_columns(densities: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """For each patch the column whose count is nearest to the true one.

    Args:
        densities: For each column ``(N, 1, h, w)`` persons per cell.
        counts: True count of each of the N patches.

    Returns:
        ``(N,)`` numbers of columns, from 0.

    Examples:
        >>> best_columns([torch.ones(2, 1, 1, 3), torch.ones(2, 1, 1, 3) / 4], [2, 1])
        tensor([0, 1])
    """
    predicted = torch.stack([at_least_float32(each).sum((1, 2, 3)) for each in densities], 1)
    return (predicted - predicted.new_tensor(counts)[:, None]).abs().argmin(1)


class SwitchLoss(OutputLoss):
    """Base of the stages: a density loss, and which column learns which patch by it.

    It takes ``densities`` from the outputs, of :class:`~mmcrowd.models.heads.SwitchHead`. The
    choice of a column has no gradient. A column that is not chosen for any patch of a batch takes
    no part in the loss; parallel training needs ``find_unused_parameters=True``.

    Args:
        loss: Config of a density loss, of any kind. Defaults to squared errors to Gaussians of
            geometry-adaptive width, as published, times 2e-4, near 1 / (h w) for a ninth of an
            image of 1024 x 768 pixels at stride 4; the published loss is the mean over the cells.
    """

    host_step = True

    def __init__(
        self,
        loss: dict = dict(type='GaussianL2Loss', sigma='adaptive', scale=2e-4),  # noqa: B006
    ):
        super().__init__()
        self.column_loss: Any = as_output_loss(MODELS.build(loss))

    def column_terms(
        self,
        densities: Sequence[Tensor],
        patches: Sequence[Sequence[int]],
        data_samples: list[CrowdDataSample],
        stride: int,
    ) -> dict[str, Tensor]:
        """Terms of the density loss, summed over the columns.

        Args:
            densities: For each column ``(N, 1, h, w)`` persons per cell.
            patches: For each column the patches it learns from, numbers from 0.
            data_samples: For each patch its sample.
            stride: Input pixels per cell.

        Returns:
            Scalars, means over the N patches.
        """
        terms: dict[str, Tensor] = {}
        for density, chosen in zip(densities, patches, strict=True):
            if not chosen:
                continue
            part = self.column_loss.loss(
                dict(density=density[list(chosen)]), [data_samples[i] for i in chosen], stride
            )
            for key, value in part.items():
                terms[key] = terms.get(key, 0) + value * (len(chosen) / len(data_samples))
        return terms

    def chosen_terms(
        self,
        densities: Sequence[Tensor],
        choice: Tensor,
        data_samples: list[CrowdDataSample],
        stride: int,
    ) -> dict[str, Tensor]:
        """:meth:`column_terms` where each patch is learnt by one column, ``choice`` ``(N,)``."""
        numbers = choice.tolist()
        patches = [
            [i for i, number in enumerate(numbers) if number == column]
            for column in range(len(densities))
        ]
        return self.column_terms(densities, patches, data_samples, stride)


@MODELS.register_module()
class SwitchPretrainLoss(SwitchLoss):
    """First stage of Switch-CNN: every column learns from every patch, see :class:`SwitchLoss`.

    The columns share nothing, so this is as if each was trained by itself.

    Examples:
        >>> from mmengine.structures import InstanceData
        >>> points = InstanceData(points=torch.full((1, 2), 8.0))
        >>> sample = CrowdDataSample(gt_instances=points, metainfo=dict(img_shape=(16, 16)))
        >>> ones = torch.ones(1, 1, 4, 4)
        >>> outputs = dict(densities=[ones / 4, ones / 16, ones])
        >>> loss = dict(type='GaussianL2Loss', sigma=4.0, scale=1.0)
        >>> SwitchPretrainLoss(loss).loss(outputs, [sample], stride=4)
        {'loss_density': tensor(14.71...)}
    """

    def loss(
        self, outputs: dict[str, Any], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Terms of the density loss, see :class:`OutputLoss`.

        Raises:
            KeyError: There are no densities.
        """
        densities = take_output(outputs, 'densities', self)
        patches = [range(len(data_samples))] * len(densities)
        return self.column_terms(densities, patches, data_samples, stride)


@MODELS.register_module()
class SwitchDifferentialLoss(SwitchLoss):
    """Second stage of Switch-CNN: each patch is learnt by the column that counts it best.

    See :class:`SwitchLoss`.

    Examples:
        >>> from mmengine.structures import InstanceData
        >>> points = InstanceData(points=torch.full((1, 2), 8.0))
        >>> sample = CrowdDataSample(gt_instances=points, metainfo=dict(img_shape=(16, 16)))
        >>> ones = torch.ones(1, 1, 4, 4)
        >>> outputs = dict(densities=[ones / 4, ones / 16, ones])
        >>> loss = dict(type='GaussianL2Loss', sigma=4.0, scale=1.0)
        >>> SwitchDifferentialLoss(loss).loss(outputs, [sample], stride=4)
        {'loss_density': tensor(0.030...)}
    """

    def loss(
        self, outputs: dict[str, Any], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Terms of the density loss, see :class:`OutputLoss`.

        Raises:
            KeyError: There are no densities.
        """
        densities = take_output(outputs, 'densities', self)
        choice = best_columns(densities, true_counts(data_samples))
        return self.chosen_terms(densities, choice, data_samples, stride)


@MODELS.register_module()
class SwitchCoupledLoss(SwitchLoss):
    r"""Third stage of Switch-CNN: the switch and the columns learn in turn, an epoch each.

    In the epochs 0, 2, 4 and so on the switch learns, by cross-entropy, which column counts each
    patch best. In the others each patch is learnt by the column that the switch chooses, see
    :class:`SwitchLoss`; ``logits`` and ``densities`` are the outputs of
    :class:`~mmcrowd.models.heads.SwitchHead`.

    Columns that are the best of few patches weigh as much as others: the published program repeats
    their patches until all are equally many; here the cross-entropy of a patch whose best column is
    k is weighted by :math:`\sum_j n_j / (3 n_k)`, with the number :math:`n_k` of such patches among
    about the last ``window`` ones. Columns stand still while the switch learns, so the labels are
    those that a pass before the epoch would give.

    Args:
        loss: See :class:`SwitchLoss`.
        window: Number of patches. Defaults to 1000.
        num_columns: Number of columns. Defaults to 3.

    Attributes:
        seen: Buffer ``(num_columns,)``, the numbers :math:`n_k`, part of a checkpoint. They start
            at 1.

    Raises:
        ValueError: ``window`` or ``num_columns`` is below 1.

    Examples:
        >>> from mmengine.structures import InstanceData
        >>> points = InstanceData(points=torch.full((1, 2), 8.0))
        >>> sample = CrowdDataSample(gt_instances=points, metainfo=dict(img_shape=(16, 16)))
        >>> ones = torch.ones(1, 1, 4, 4)
        >>> outputs = dict(densities=[ones / 4, ones / 16, ones], logits=torch.zeros(1, 3))
        >>> SwitchCoupledLoss().loss(outputs, [sample], stride=4)
        {'loss_switch': tensor(0.732...)}
    """

    def __init__(
        self,
        loss: dict = dict(type='GaussianL2Loss', sigma='adaptive', scale=2e-4),  # noqa: B006
        window: int = 1000,
        num_columns: int = 3,
    ):
        super().__init__(loss)
        check_at_least(self, 1, window=window, num_columns=num_columns)
        self.window = window
        self.seen: Tensor
        self.register_buffer('seen', torch.ones(num_columns))

    def loss(
        self, outputs: dict[str, Any], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """``loss_switch``, or terms of the density loss, by the epoch; see :class:`OutputLoss`.

        Raises:
            KeyError: An output is not there.
            ValueError: The head has another number of columns.
        """
        densities = take_output(outputs, 'densities', self)
        logits = take_output(outputs, 'logits', self, 'a SwitchHead needs switch_channels for them')
        numbers = len(densities), logits.shape[1]
        if numbers != (len(self.seen),) * 2:
            raise ValueError(
                f'SwitchCoupledLoss: num_columns={len(self.seen)}, but the head has {numbers[0]} '
                f'densities and {numbers[1]} logits, expected as many'
            )
        if MessageHub.get_current_instance().get_info('epoch', 0) % 2 == 0:
            best = best_columns(densities, true_counts(data_samples))
            return dict(loss_switch=self.switch_loss(logits, best))
        choice = logits.argmax(1)
        return self.chosen_terms(densities, choice, data_samples, stride)

    def switch_loss(self, logits: Tensor, best: Tensor) -> Tensor:
        """Weighted cross-entropy, after the patches were counted in.

        Args:
            logits: ``(N, num_columns)``.
            best: ``(N,)`` column that counts each patch best.

        Returns:
            The mean over the patches.
        """
        new = best.bincount(minlength=len(self.seen))
        all_reduce(new)  # the patches of all processes
        self.seen.mul_((1 - 1 / self.window) ** new.sum()).add_(new)
        weight = self.seen.sum() / (len(self.seen) * self.seen)
        with torch.autocast(logits.device.type, enabled=False):
            logits = at_least_float32(logits)
            return (
                weight.to(logits)[best] * F.cross_entropy(logits, best, reduction='none')
            ).mean()


def true_counts(data_samples: Sequence[CrowdDataSample]) -> list[int]:
    """Number of points of each sample."""
    return [len(sample.gt_instances.points) for sample in data_samples]
