"""What the density losses that look at one image at a time have in common."""

from abc import ABCMeta, abstractmethod

import torch
from torch import Tensor, nn

from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.structures import CrowdDataSample, short_image_sides, stack_partitions


class DensityLoss(nn.Module, metaclass=ABCMeta):
    """Base of the density losses; a subclass says what one image costs.

    The loss computes in float32, or float64 for a float64 density, under autocast too, and each
    term is the mean over the images of the batch. Points and partition follow the density to its
    device and floating type.

    Attributes:
        needs_partition (bool): Whether ``image_loss`` takes the partition of its image, as a fourth
            argument. Defaults to False.
        needs_image_side (bool): Whether the loss looks at the size of the whole image, of which the
            density may be a crop: ``image_loss`` then takes its short side as the last argument. A
            counter hands ``image_sides`` to these losses only. Defaults to False.
    """

    source = 'density'
    needs_partition = False
    needs_image_side = False

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
            density (Tensor): ``(N, 1, h, w)`` persons per cell.
            points (list[Tensor]): For each image the ``(m_i, 2)`` positions ``(x, y)`` in input
                pixels.
            stride (int): Input pixels per cell.
            partition (Partition, optional): Nearest point of every cell, for the same points, size
                and stride. Defaults to None, to compute it here if the loss needs it.
            image_sides (list[float] | Tensor, optional): For each image the short side, in input
                pixels, of the whole image that the density is a crop of. Only looked at if the loss
                needs it. Defaults to None, the short side of the map.

        Returns:
            dict[str, Tensor]: The terms of the loss, scalars; keys start with ``loss_``.

        Raises:
            ValueError: The number of images in points, partition or image_sides, or the size of the
                partition, does not fit the density.
        """
        check_batch(self, density, points, stride, partition, image_sides)
        with torch.autocast(density.device.type, enabled=False):
            density = density.to(torch.promote_types(density.dtype, torch.float32))
            images = [density[:, 0], [p.to(density) for p in points]]
            if self.needs_partition:
                # so that a float64 density meets float64 distances
                if partition is None:
                    partition = partition_batch(images[1], density.shape[2:], stride)
                partition = partition_like(partition, density)
                images.append([Partition(*image) for image in zip(*partition, strict=True)])
            if self.needs_image_side:
                images.append(short_sides(density, stride, image_sides))
            terms = [
                self.image_loss(a, p, stride, *needed)
                for a, p, *needed in zip(*images, strict=True)
            ]
        return {key: torch.stack([image[key] for image in terms]).mean() for key in terms[0]}

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
            ValueError: The loader's partitions do not fit each other or the density.
        """
        points = [sample.gt_instances.points for sample in data_samples]
        partition = stack_partitions(data_samples, stride) if self.needs_partition else None
        known = {}
        if self.needs_image_side:
            known['image_sides'] = short_image_sides(data_samples)
        return self(outputs[self.source], points, stride, partition, **known)

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
    image_sides: list[float] | Tensor | None = None,
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
    if image_sides is not None and len(image_sides) != num_images:
        raise ValueError(
            f'{type(loss).__name__}: {num_images} density maps need as many image_sides, '
            f'but got {len(image_sides)}'
        )
    if partition is not None and partition.index.shape != (num_images, h, w):
        raise ValueError(
            f'{type(loss).__name__}: the partition has the shape {tuple(partition.index.shape)}, '
            f'but the density map needs {(num_images, h, w)}; end the pipeline with '
            f'PadToMultiple(divisor: the pad_size_divisor of the data preprocessor) and '
            f'PartitionByNearestPoint(stride: the stride of the head, {stride})'
        )


def partition_like(partition: Partition, density: Tensor) -> Partition:
    """The partition on the device of the density, with distances of its dtype."""
    index, distance = partition
    return Partition(
        index=index.to(density.device, non_blocking=True),
        distance=distance.to(density, non_blocking=True),
    )


def short_sides(
    density: Tensor, stride: int, image_sides: list[float] | Tensor | None = None
) -> Tensor:
    """Short side of each whole image in input pixels, ``(N,)`` like the density.

    Args:
        density (Tensor): ``(N, 1, h, w)`` maps.
        stride (int): Input pixels per cell.
        image_sides (list[float] | Tensor, optional): What is known of the images; from numbers of
            the host nothing waits for the device. Defaults to None: each map is a whole image.
    """
    if image_sides is None:
        return density.new_full((len(density),), min(density.shape[2:]) * stride)
    sides = torch.as_tensor(image_sides, dtype=density.dtype)
    return sides.to(density.device, non_blocking=True)
