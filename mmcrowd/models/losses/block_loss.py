"""What losses of distributions of block counts have in common."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_not_negative
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.structures import CrowdDataSample

from .block_terms import bin_cross_entropy, block_counts, total_variation, transport
from .checks import take_output
from .output_loss import OutputLoss


class BlockLoss(OutputLoss):
    """Base of the losses of a head that tells the distribution of the count of every block.

    It is a sum of terms by weight. Those of the bins (``ce``) and of the density (``count``, ``ot``
    and ``tv``) are here, a subclass adds its own in :meth:`own_terms`. Terms whose weight is 0 are
    not computed.

    Args:
        bins: Lowest count of each bin that the head predicts, ascending.
        weights: Weight of each term, by its name.
        one_per_pixel: See :func:`block_counts`, a host step; the error of the count and the
            transport term take all points.

    Attributes:
        sources: Names of the outputs that the terms take.

    Raises:
        ValueError: A weight is negative, or all are 0.
    """

    sources: tuple[str, ...] = ('bin_logits', 'density')
    bins: Tensor

    def __init__(self, bins: Sequence[int], weights: Mapping[str, float], one_per_pixel: bool):
        super().__init__()
        check_not_negative(self, **{f'{name}_weight': weight for name, weight in weights.items()})
        if not any(weights.values()):
            raise ValueError(f'{type(self).__name__}: all weights are 0, expected a positive one')
        self.weights = dict(weights)
        self.one_per_pixel = one_per_pixel
        self.host_step = one_per_pixel
        self.register_buffer('bins', torch.tensor(bins), persistent=False)

    @abstractmethod
    def own_terms(
        self, outputs: Mapping[str, Tensor], counts: Tensor
    ) -> dict[str, Callable[[], Tensor]]:
        """Terms that only this loss has.

        Args:
            outputs: Those of ``sources``, at least float32.
            counts: ``(N, 1, h, w)`` points in each block.

        Returns:
            By name what computes the term of each image, ``(N,)``.
        """

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the terms whose weight is not 0, see :class:`OutputLoss`.

        Returns:
            ``loss_`` and the name of each term.

        Raises:
            KeyError: One of ``sources`` is not there.
            ValueError: The head predicts another number of bins.
        """
        taken = {name: at_least_float32(take_output(outputs, name, self)) for name in self.sources}
        logits, density = taken['bin_logits'], taken['density']
        if logits.shape[1] != len(self.bins):
            raise ValueError(
                f'{type(self).__name__}: {len(self.bins)} bins from {self.bins.tolist()} on, but '
                f'the head predicts {logits.shape[1]}; its bin_centres need as many'
            )
        points = [sample.gt_instances.points.to(density) for sample in data_samples]
        with torch.autocast(density.device.type, enabled=False):
            counts = block_counts(points, tuple(density.shape[2:]), stride, self.one_per_pixel)
            compute = {
                'ce': lambda: bin_cross_entropy(logits, counts, self.bins),
                'count': lambda: count_error(density, points),
                'ot': lambda: transport(density, points, stride),
                'tv': lambda: total_variation(density, counts, points),
                **self.own_terms(taken, counts),
            }
            return {
                f'loss_{name}': weight * compute[name]().mean()
                for name, weight in self.weights.items()
                if weight
            }


def count_error(density: Tensor, points: Sequence[Tensor]) -> Tensor:
    """``(N,)`` absolute errors of the sums of densities ``(N, 1, h, w)``."""
    number = torch.tensor([len(p) for p in points]).to(density, non_blocking=True)
    return (density.sum((1, 2, 3)) - number).abs()
