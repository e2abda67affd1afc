import math

import torch
from mmengine.structures import PixelData

from mmcrowd.models.partition import Partition
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .base_counter import BaseCounter, whole_images


@MODELS.register_module()
class DensityCounter(BaseCounter):
    """A counter that predicts a density map, whose sum is the count.

    ``backbone -> neck (optional) -> head -> density``; any density loss trains it.

    Args:
        backbone: Config of the backbone, of any scope; returns a tuple of feature levels.
        head: Config of the head; it has ``out_stride``, input pixels per density cell.
        loss: Config of a density loss,
            ``forward(density, points, stride, partition=None) -> dict``.
        neck, data_preprocessor, precision, init_cfg: See :class:`BaseCounter`.
    """

    @property
    def stride(self) -> int:
        """Input pixels per density cell."""
        return self.head.out_stride

    def predict_density(self, inputs: torch.Tensor) -> torch.Tensor:
        """Density ``(N, 1, h, w)`` float32, persons per cell, of the padded batch."""
        return self._run_network(inputs).float()

    def _forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.predict_density(inputs)

    def loss(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample]
    ) -> dict[str, torch.Tensor]:
        """Losses of a training batch; keys start with ``loss_``.

        The partition that the loader has made (``gt_partition`` of every sample) is handed on.
        """
        density = self.predict_density(inputs)
        points = [sample.gt_instances.points for sample in data_samples]
        return self.loss_module(
            density, points, stride=self.stride, partition=_stack_partition(data_samples)
        )

    def predict(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample] | None = None
    ) -> list[CrowdDataSample]:
        """Predictions of a batch: ``pred_density`` and ``pred_count`` of the un-padded area.

        Without ``data_samples`` all of ``inputs`` counts as image.
        """
        if data_samples is None:
            data_samples = whole_images(inputs)
        for density, sample in zip(self.predict_density(inputs), data_samples, strict=True):
            height, width = (math.ceil(side / self.stride) for side in sample.img_shape)
            density = density[:, :height, :width]
            sample.pred_density = PixelData(density=density)
            # Thousands of small numbers: summed in double precision the count is exact enough.
            sample.pred_count = density.sum(dtype=torch.float64).item()
        return data_samples


def _stack_partition(data_samples: list[CrowdDataSample]) -> Partition | None:
    """Partition of the batch, if every sample brings one of the same size."""
    given = [sample.gt_partition for sample in data_samples if 'gt_partition' in sample]
    if len(given) < len(data_samples) or len({item.shape for item in given}) > 1:
        return None
    return Partition(
        index=torch.cat([item.index for item in given]),
        distance=torch.cat([item.distance for item in given]),
    )
