"""Bayesian loss without its worst points (Lin, Ma, Ji, Wang and Hong: *Boosting Crowd Counting via
Multifaceted Attention*, CVPR 2022)."""

import math

import torch
from torch import Tensor

from mmcrowd.ops.checks import check_positive
from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample, short_image_sides, stack_partitions

from .bayesian_loss import posterior_products
from .checks import take_output
from .output_loss import OutputLoss


def top_bayesian_loss(
    density: Tensor,
    points: Tensor,
    visible: Tensor,
    nearest: Partition,
    stride: int,
    side: float | Tensor,
    sigma: float,
    background_ratio: float,
    share: float,
) -> tuple[Tensor, Tensor]:
    r"""Bayesian loss of one image, of the points that fit best.

    With the posterior p of :func:`~mmcrowd.models.losses.bayesian_loss.bayesian_loss`,

    .. math::
        L(a) = \sum_{j \in B} | v_j - \sum_i p_{ij} a_i | + | \sum_i p_{i0} a_i |

    where B are the :math:`\lceil \rho m \rceil` points with the smallest residuals and the
    background lies at the distance :math:`d_{i0} = r S - \min_j d_{ij}` from cell i, with the short
    side S, in pixels, of the whole image that the density may be a crop of. Without points all is
    background.

    Args:
        density: ``(h, w)`` persons per cell a.
        points: ``(m, 2)`` positions ``(x, y)`` in input pixels.
        visible: ``(m,)`` count v of each point, the share of the head inside of the image.
        nearest: Index and distance ``(h, w)`` of every cell's nearest point.
        stride: Input pixels per cell.
        side: S in input pixels.
        sigma: Standard deviation of the likelihood in input pixels.
        background_ratio: The ratio r.
        share: The share rho of the points.

    Returns:
        Sum over the points, and background term; scalars of the dtype of the density.
    """
    if len(points) == 0:
        return density.new_zeros(()), density.sum().abs()
    background = (background_ratio * side - nearest.distance.double()).square()
    count, of_background = posterior_products(density, points, nearest, stride, sigma, background)
    residuals = (visible - count).abs()
    number = math.ceil(share * len(points))
    best = residuals.topk(number, largest=False, sorted=False).values.sum()
    return best.to(density.dtype), of_background.abs().to(density.dtype)


@MODELS.register_module()
class TopBayesianLoss(OutputLoss):
    """Bayesian loss without its worst points, see :func:`top_bayesian_loss`.

    It takes ``density`` from the outputs; the terms are ``loss_point`` and ``loss_background``.

    A point has the count ``gt_instances.visible`` of
    :class:`~mmcrowd.datasets.transforms.VisibleCrop`, or 1 where the samples have none. The
    background lies at a distance that goes by the short side of the whole image, not of the crop;
    samples that do not know it count as whole images.

    Args:
        sigma: Standard deviation of the likelihood in input pixels. Defaults to 8.0.
        background_ratio: Distance at which the background lies, as a share of the image's short
            side. Defaults to 0.15.
        share: Share of the points that count, those with the smallest residuals; the number is
            rounded up. Defaults to 0.9.

    Raises:
        ValueError: An argument is not positive, or share is above 1.

    Examples:
        >>> from mmengine.structures import InstanceData
        >>> points = torch.tensor([[5.0, 5.0], [25.0, 20.0]])
        >>> sample = CrowdDataSample(gt_instances=InstanceData(points=points))
        >>> outputs = dict(density=torch.zeros(1, 1, 4, 4))
        >>> TopBayesianLoss(share=0.5).loss(outputs, [sample], stride=8)
        {'loss_point': tensor(1.), 'loss_background': tensor(0.)}
    """

    def __init__(
        self, sigma: float = 8.0, background_ratio: float = 0.15, share: float = 0.9
    ) -> None:
        super().__init__()
        check_positive(self, sigma=sigma, background_ratio=background_ratio, share=share)
        if share > 1:
            raise ValueError(f'TopBayesianLoss: share must be at most 1, but got {share}')
        self.sigma = sigma
        self.background_ratio = background_ratio
        self.share = share

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute both terms, see :class:`OutputLoss`.

        Raises:
            KeyError: There is no density.
        """
        density = at_least_float32(take_output(outputs, 'density', self))
        points, visible = [], []
        for sample in data_samples:
            heads = sample.gt_instances
            points.append(heads.points.to(density))
            known = 'visible' in heads
            visible.append(
                heads.visible.to(density) if known else density.new_ones(len(points[-1]))
            )
        size = tuple(density.shape[2:])
        partition = stack_partitions(data_samples, stride)
        if partition is None:
            partition = partition_batch(points, size, stride)
        sides = short_image_sides(data_samples) or [min(size) * stride] * len(density)
        options = self.sigma, self.background_ratio, self.share
        with torch.autocast(density.device.type, enabled=False):
            images = zip(
                density[:, 0], points, visible, zip(*partition, strict=True), sides, strict=True
            )
            terms = [
                top_bayesian_loss(a, p, v, Partition(*near), stride, side, *options)
                for a, p, v, near, side in images
            ]
        names = ('loss_point', 'loss_background')
        return {
            name: torch.stack(values).mean()
            for name, values in zip(names, zip(*terms, strict=True), strict=True)
        }
