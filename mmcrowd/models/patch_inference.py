"""Images through a network that takes patches of one size and has one count for each."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs, map_tensors
from .overlap_inference import OverlapInference


@TASK_UTILS.register_module()
class PatchInference:
    """Run a network in square patches that overlap, of which all have the same size.

    Patches begin at multiples of ``step``, the last ones end with the image, and maps are averaged
    where they overlap, see :class:`OverlapInference`. An image that is smaller than a patch is
    padded on the left and at the top. Nothing of the padding of a batch is looked at. This is the
    rule of MUD-ikNN (Olmschenk, Tang and Zhu, arXiv 1902.05379).

    Args:
        patch_size: Side of a patch in pixels. Defaults to 224.
        step: Pixels from patch to patch. Defaults to 128.
        pad_value: Value of the padding in the input of the network. Defaults to -1.0, which is
            black where 0 to 255 become -1 to 1.

    Examples:
        >>> def run(inputs, padding_mask=None):
        ...     return dict(density=inputs.mean((1, 2, 3), keepdim=True).expand_as(inputs))
        >>> PatchInference(4, 2, pad_value=0.0)(run, torch.ones(1, 1, 2, 6))['density'].sum()
        tensor(6.)
    """

    def __init__(self, patch_size: int = 224, step: int = 128, pad_value: float = -1.0):
        self.patches = OverlapInference((patch_size, patch_size), (step, step))
        self.patch_size = patch_size
        self.pad_value = pad_value

    def __call__(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor,
        data_samples: Sequence[CrowdDataSample] | None = None,
    ) -> Outputs:
        """Outputs of a batch.

        Args:
            run: The network, ``run(inputs, padding_mask=None) -> outputs``, all of them maps with
                one value for each pixel.
            inputs: ``(N, C, H, W)``.
            data_samples: One sample per image, whose ``img_shape`` says where the padding begins.
                Defaults to None, no padding.

        Returns:
            The outputs of the network for the whole batch, 0 in its padding.
        """
        number, _, height, width = inputs.shape
        images = []
        for i in range(number):
            size = (height, width) if data_samples is None else data_samples[i].img_shape
            pixels = inputs[i : i + 1, :, : size[0], : size[1]]
            top, left = (max(self.patch_size - side, 0) for side in size)
            pixels = F.pad(pixels, (left, 0, top, 0), value=self.pad_value)
            rest = (-left, width - size[1], -top, height - size[0])
            images.append(map_tensors(partial(F.pad, pad=rest), self.patches(run, pixels)))
        return _join(images)


def _join(images: Sequence[Outputs]) -> Outputs:
    """Batch of the outputs of single images, which all have the same names."""
    tensors: list[list[Tensor]] = [[] for _ in images]
    for found, outputs in zip(tensors, images, strict=True):
        map_tensors(found.append, outputs)
    joined = iter([torch.cat(parts) for parts in zip(*tensors, strict=True)])
    return map_tensors(lambda _: next(joined), images[0])
