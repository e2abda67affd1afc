"""What the samples of a batch tell a loss beside their points."""

import torch

from mmcrowd.ops.partition import Partition

from .crowd_data_sample import CrowdDataSample
from .frame import whole_image_size


def stack_partitions(data_samples: list[CrowdDataSample], stride: int) -> Partition | None:
    """Stack the partitions that the loader has made, ``gt_partition``.

    Args:
        data_samples: The samples of the batch.
        stride: Input pixels per cell of the map that they are for; only named in the errors.

    Returns:
        The partition of the batch, or None if no sample brings one.

    Raises:
        ValueError: Only some samples bring one, or their sizes differ.
    """
    given = [sample.gt_partition for sample in data_samples if 'gt_partition' in sample]
    if not given:
        return None
    if len(given) < len(data_samples):
        raise ValueError(
            f'only {len(given)} of {len(data_samples)} samples have a gt_partition; end every '
            f'pipeline with PartitionByNearestPoint(stride: the stride of the head, {stride}), or '
            'none'
        )
    sizes = {tuple(partition.shape) for partition in given}
    if len(sizes) > 1:
        raise ValueError(
            f'the partitions of a batch must have one size, but got {sorted(sizes)}; bring all '
            'images to one size before PartitionByNearestPoint(stride: the stride of the head, '
            f'{stride}), or leave it out'
        )
    return Partition(
        index=torch.cat([partition.index for partition in given]),
        distance=torch.cat([partition.distance for partition in given]),
    )


def stack_maps(
    data_samples: list[CrowdDataSample], name: str, like: torch.Tensor, transform: str
) -> torch.Tensor:
    """Stack one of the maps that the loader has made, ``gt_maps``.

    Args:
        data_samples: The samples of the batch.
        name: Name of the map.
        like: ``(N, 1, h, w)``, the output that it is for; gives device and dtype.
        transform: Name of the transform that makes the map, for the errors.

    Returns:
        ``(N, 1, h, w)``.

    Raises:
        KeyError: A sample does not have it.
        ValueError: The map of a sample has another size than the output.
    """
    maps = []
    for sample in data_samples:
        if name not in sample.get('gt_maps', ()):
            raise KeyError(
                f'image {sample.get("img_id")!r} has no map {name!r} in its gt_maps; end the '
                f'training pipeline with {transform}, before PackCrowdInputs'
            )
        values = sample.gt_maps.get(name)
        if values.shape != like.shape[1:]:
            raise ValueError(
                f'image {sample.get("img_id")!r}: the map {name!r} of {transform} has the shape '
                f'{tuple(values.shape)}, but the output needs {tuple(like.shape[1:])}'
            )
        maps.append(values)
    return torch.stack(maps).to(like)


def short_image_sides(data_samples: list[CrowdDataSample]) -> list[float] | None:
    """Short side of each whole image, of which the sample may be a crop.

    Args:
        data_samples: The samples of the batch.

    Returns:
        Input pixels, from ``ori_shape`` and ``scale_factor``; None if a sample has no
        ``ori_shape``.
    """
    if not all('ori_shape' in sample for sample in data_samples):
        return None
    return [min(whole_image_size(sample.metainfo)) for sample in data_samples]
