"""What all density losses have in common."""

import torch
from torch import Tensor, nn

from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.ops.precision import at_least_float32
from mmcrowd.structures import CrowdDataSample, short_image_sides, stack_partitions

from .checks import take_output


class DensityLoss(nn.Module):
    """Base of the density losses: losses of one map and the points of each image.

    A subclass says what one image costs, in :meth:`image_loss`, or, where images are best computed
    together, what each of a batch costs, in :meth:`batch_loss`. All else is done here: the
    arguments are checked, the loss computes in float32 (in float64 for a float64 density) under
    autocast too, points and partition follow the density to its device and floating type, and each
    term is the mean over the images of the batch.

    Attributes:
        source: Name of the output of the network that :meth:`loss` takes as the density. Defaults
            to ``'density'``.
        needs_partition: Whether the loss needs the nearest point of each cell. Defaults to False.
        needs_image_side: Whether the loss goes by the size of the whole image, of which the density
            may be a crop. Defaults to False.
        host_step: Whether the host waits for values of the device, such as for a search that it
            does itself, even if the partition is given. Defaults to False.

    Examples:
        >>> class CountLoss(DensityLoss):
        ...     def image_loss(self, density, points, stride, nearest=None, side=None):
        ...         return dict(loss_count=(density.sum() - len(points)).abs())
        >>> CountLoss()(torch.full((2, 1, 4, 4), 0.25), [torch.zeros(3, 2), torch.zeros(4, 2)], 8)
        {'loss_count': tensor(0.5000)}
    """

    source = 'density'
    needs_partition = False
    needs_image_side = False
    host_step = False

    def forward(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition | None = None,
        image_sides: list[float] | Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            density: ``(N, 1, h, w)`` persons per cell.
            points: For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels.
            stride: Input pixels per cell.
            partition: Nearest point of every cell, for the same points, size and stride. Defaults
                to None, to compute it here if the loss needs it.
            image_sides: For each image the short side, in input pixels, of the whole image that the
                density is a crop of. Only looked at if the loss needs it. Defaults to None, the
                short side of the map.

        Returns:
            The terms of the loss, scalars; keys start with ``loss_``.

        Raises:
            ValueError: The number of images in points, partition or image_sides, or the size of the
                partition, does not fit the density.
        """
        check_batch(self, density, points, stride, partition, image_sides)
        with torch.autocast(density.device.type, enabled=False):
            density = at_least_float32(density)
            points = [_like(p, density) for p in points]
            if not self.needs_partition:
                partition = None
            elif partition is None:
                partition = partition_batch(points, density.shape[2:], stride)
            else:
                index = _like(partition.index, density, dtype=torch.int64)
                partition = Partition(index, _like(partition.distance, density))
            sides = None
            if self.needs_image_side:
                sides = _short_sides(density, stride, image_sides)
            terms = self.batch_loss(density, points, stride, partition, sides)
        return {key: value.mean() for key, value in terms.items()}

    def loss(
        self, outputs: dict[str, Tensor], data_samples: list[CrowdDataSample], stride: int
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch from the outputs of a network, as a counter calls it.

        Args:
            outputs: Named outputs of the network; the one named ``source`` is the density,
                ``(N, 1, h, w)``.
            data_samples: For each image its sample, with ``gt_instances.points``. The
                ``gt_partition`` that the loader may have made is used by a loss that needs it, and
                so is the size of the whole image.
            stride: Input pixels per cell.

        Returns:
            The terms of the loss, see :meth:`forward`.

        Raises:
            KeyError: There is no output ``source``.
            ValueError: The loader's partitions do not fit each other or the density.
        """
        density = take_output(outputs, self.source, self)
        points = [sample.gt_instances.points for sample in data_samples]
        partition = stack_partitions(data_samples, stride) if self.needs_partition else None
        known = {}
        if self.needs_image_side:
            known['image_sides'] = short_image_sides(data_samples)
        return self(density, points, stride, partition, **known)

    def batch_loss(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition | None,
        sides: Tensor | None,
    ) -> dict[str, Tensor]:
        """Terms of the loss of each image; by default :meth:`image_loss`, image by image.

        Args:
            density: ``(N, 1, h, w)`` persons per cell, float32 or float64.
            points: For each image the ``(m_i, 2)`` positions ``(x, y)`` in input pixels, of the
                same dtype.
            stride: Input pixels per cell.
            partition: Index and distance ``(N, h, w)`` of every cell's nearest point, if the loss
                needs them, else None.
            sides: ``(N,)`` short side of each whole image in input pixels, if the loss needs it,
                else None.

        Returns:
            The terms, ``(N,)`` each.
        """
        nothing = [None] * len(points)
        nearest = nothing
        if partition is not None:
            nearest = [Partition(*image) for image in zip(*partition, strict=True)]
        sides = nothing if sides is None else sides
        images = zip(density[:, 0], points, nearest, sides, strict=True)
        terms = [self.image_loss(a, p, stride, near, side) for a, p, near, side in images]
        return {key: torch.stack([image[key] for image in terms]) for key in terms[0]}

    def image_loss(
        self,
        density: Tensor,
        points: Tensor,
        stride: int,
        nearest: Partition | None = None,
        side: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Terms of the loss of one image.

        Args:
            density: ``(h, w)`` persons per cell, float32 or float64.
            points: ``(m, 2)`` positions ``(x, y)`` in input pixels, of the same dtype.
            stride: Input pixels per cell.
            nearest: Index and distance ``(h, w)`` of every cell's nearest point, if the loss needs
                them. Defaults to None.
            side: Short side of the whole image in input pixels, a scalar, if the loss needs it.
                Defaults to None.

        Returns:
            Scalars with the same keys for every image.

        Raises:
            NotImplementedError: The subclass has neither this method nor :meth:`batch_loss`.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define image_loss or batch_loss, but has neither'
        )


def check_batch(
    loss: nn.Module,
    density: Tensor,
    points: list[Tensor],
    stride: int,
    partition: Partition | None,
    image_sides: list[float] | Tensor | None,
) -> None:
    """See that the arguments of a density loss, as in :meth:`DensityLoss.forward`, fit each other.

    Raises:
        ValueError: They do not; the message names the loss, both sizes and, for the partition, the
            transforms that make it.
    """
    num_images, _, h, w = density.shape
    for values, what in ((points, 'lists of points'), (image_sides, 'image_sides')):
        if values is not None and len(values) != num_images:
            raise ValueError(
                f'{type(loss).__name__}: {num_images} density maps need as many {what}, '
                f'but got {len(values)}'
            )
    if partition is not None and partition.index.shape != (num_images, h, w):
        raise ValueError(
            f'{type(loss).__name__}: the partition has the shape {tuple(partition.index.shape)}, '
            f'but the density map needs {(num_images, h, w)}; end the pipeline with '
            f'Pad(size_divisor: the pad_size_divisor of the data preprocessor) and '
            f'PartitionByNearestPoint(stride: the stride of the head, {stride})'
        )


def _like(tensor: Tensor, density: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor on the device of the density, and of its dtype unless another is given."""
    # A copy to an accelerator need not wait for it; one to the host must.
    device = density.device
    return tensor.to(device, dtype or density.dtype, non_blocking=device.type != 'cpu')


def _short_sides(density: Tensor, stride: int, image_sides: list[float] | Tensor | None) -> Tensor:
    """Short side of each whole image in input pixels, ``(N,)`` like the density."""
    if image_sides is None:  # each map is a whole image
        return density.new_full((len(density),), min(density.shape[2:]) * stride)
    return _like(torch.as_tensor(image_sides, dtype=density.dtype), density)
