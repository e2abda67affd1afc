"""What the density losses that look at one image at a time have in common."""

from abc import ABCMeta, abstractmethod

import torch
from torch import Tensor, nn

from mmcrowd.ops.partition import Partition, partition_batch


class DensityLoss(nn.Module, metaclass=ABCMeta):
    """Base of the density losses; a subclass says what one image costs.

    The loss computes in float32, or float64 for a float64 density, under autocast too, and each
    term is the mean over the images of the batch.

    Attributes:
        needs_partition (bool): Whether ``image_loss`` takes the partition of its image, as a fourth
            argument. Defaults to False.
    """

    needs_partition = False

    def forward(
        self,
        density: Tensor,
        points: list[Tensor],
        stride: int,
        partition: Partition | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            density (Tensor): ``(N, 1, h, w)`` persons per cell.
            points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input
                pixels.
            stride (int): Input pixels per cell.
            partition (Partition, optional): Nearest point of every cell, for the same points, size
                and stride. Defaults to None, to compute it here if the loss needs it.

        Returns:
            dict[str, Tensor]: The terms of the loss, scalars; keys start with ``loss_``.

        Raises:
            ValueError: The number of images in points or partition, or the size of the partition,
                does not fit the density.
        """
        check_batch(self, density, points, stride, partition)
        with torch.autocast(density.device.type, enabled=False):
            density = density.to(torch.promote_types(density.dtype, torch.float32))
            images = [density[:, 0], [p.to(density) for p in points]]
            if self.needs_partition:
                # so that a float64 density meets float64 distances
                if partition is None:
                    partition = partition_batch(images[1], density.shape[2:], stride)
                images.append([Partition(*image) for image in zip(*partition, strict=True)])
            terms = [
                self.image_loss(a, p, stride, *nearest)
                for a, p, *nearest in zip(*images, strict=True)
            ]
        return {key: torch.stack([image[key] for image in terms]).mean() for key in terms[0]}

    @abstractmethod
    def image_loss(self, density: Tensor, points: Tensor, stride: int) -> dict[str, Tensor]:
        """Terms of the loss of one image.

        Args:
            density (Tensor): ``(h, w)`` persons per cell, float32 or float64.
            points (Tensor): ``(m, 2)`` positions ``(x, y)`` in input pixels, of the same dtype.
            stride (int): Input pixels per cell.

        Returns:
            dict[str, Tensor]: Scalars with the same keys for every image.
        """


def check_batch(
    loss: nn.Module,
    density: Tensor,
    points: list[Tensor],
    stride: int,
    partition: Partition | None,
) -> None:
    """See that the arguments of a loss fit each other.

    Raises:
        ValueError: They do not; the message names the loss, both sizes and, for the partition, the
            transforms that make it.
    """
    num_images, _, h, w = density.shape
    if len(points) != num_images:
        raise ValueError(
            f'{type(loss).__name__}: {num_images} density maps need as many lists of points, '
            f'but got {len(points)}'
        )
    if partition is not None and partition.index.shape != (num_images, h, w):
        raise ValueError(
            f'{type(loss).__name__}: the partition has the shape {tuple(partition.index.shape)}, '
            f'but the density map needs {(num_images, h, w)}; end the pipeline with '
            f'PadToMultiple(divisor: the pad_size_divisor of the data preprocessor) and '
            f'PartitionByNearestPoint(stride: the stride of the head, {stride})'
        )
