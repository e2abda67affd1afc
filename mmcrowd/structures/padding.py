"""Where the images of a padded batch end."""

from collections.abc import Sequence

import torch

from .crowd_data_sample import CrowdDataSample


def padding_mask(inputs: torch.Tensor, data_samples: Sequence[CrowdDataSample]) -> torch.Tensor:
    """Mark the padding of a batch.

    Args:
        inputs: ``(N, C, H, W)``, padded to the right and to the bottom.
        data_samples: One sample per image; ``img_shape`` is its (height, width) without padding.

    Returns:
        ``(N, H, W)`` bool, True in the padding, on the device of the inputs.

    Examples:
        >>> sample = CrowdDataSample(metainfo=dict(img_shape=(1, 2)))
        >>> padding_mask(torch.zeros(1, 3, 2, 3), [sample])
        tensor([[[False, False,  True],
                 [ True,  True,  True]]])
    """
    mask = inputs.new_ones((len(inputs), *inputs.shape[-2:]), dtype=torch.bool)
    for image, sample in zip(mask, data_samples, strict=True):
        height, width = sample.img_shape
        image[:height, :width] = False
    return mask
