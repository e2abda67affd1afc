import math

import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.registry import MODELS, TASK_UTILS
from mmcrowd.structures import CrowdDataSample, stack_partitions, to_original_frame

from .base_counter import BaseCounter, whole_images


@MODELS.register_module()
class DensityCounter(BaseCounter):
    """A counter that predicts a density map, whose sum is the count.

    ``backbone -> neck (optional) -> head -> density``; any density loss trains it.

    Args:
        backbone: Config of the backbone, of any scope; returns a tuple of feature levels.
        head: Config of the head; it has ``out_stride``, input pixels per density cell.
        loss: Config of a loss with a method ``loss(outputs, data_samples, stride) -> dict``, such
            as any :class:`~mmcrowd.models.DensityLoss`, or of a module
            ``forward(density, points, stride, partition=None) -> dict``.
        localizer: Config of a localizer, ``(density, stride) -> (points, scores)``, that turns the
            predicted density into points, see :mod:`mmcrowd.models.localizers`. Default None: the
            counter only counts.
        neck, data_preprocessor, precision, init_cfg: See :class:`BaseCounter`.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        loss: dict,
        neck: dict | None = None,
        localizer: dict | None = None,
        data_preprocessor: dict | None = None,
        precision: str = 'fp32',
        init_cfg: dict | None = None,
    ):
        super().__init__(backbone, head, loss, neck, data_preprocessor, precision, init_cfg)
        self.localizer = TASK_UTILS.build(localizer) if localizer is not None else None

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
        if hasattr(self.loss_module, 'loss'):
            return self.loss_module.loss(dict(density=density), data_samples, self.stride)
        points = [sample.gt_instances.points for sample in data_samples]
        partition = stack_partitions(data_samples, self.stride)
        return self.loss_module(density, points, stride=self.stride, partition=partition)

    def predict(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample] | None = None
    ) -> list[CrowdDataSample]:
        """Predictions of a batch: ``pred_density`` and ``pred_count`` of the un-padded area.

        With a localizer also ``pred_instances``: ``points`` ``(k, 2)`` in the original frame and
        ``scores`` ``(k,)``; the count stays the sum of the density. The stride of the density is
        kept as meta information ``density_stride``. Without ``data_samples`` all of ``inputs``
        counts as image.

        Raises:
            ValueError: The density of the padded batch does not reach the edges of an image, since
                its sides are no multiples of the network's strides.
        """
        if data_samples is None:
            data_samples = whole_images(inputs)
        for density, sample in zip(self.predict_density(inputs), data_samples, strict=True):
            height, width = (math.ceil(side / self.stride) for side in sample.img_shape)
            if density.shape[1] < height or density.shape[2] < width:
                raise ValueError(
                    f'image {sample.get("img_id")!r} of {tuple(sample.img_shape)} pixels (h, w) '
                    f'needs {(height, width)} cells of stride {self.stride}, but the network gives '
                    f'{tuple(density.shape[1:])} for a batch padded to {tuple(inputs.shape[-2:])}; '
                    'pad_size_divisor of the data_preprocessor must be a multiple of every stride '
                    'inside the network'
                )
            density = density[:, :height, :width]
            sample.set_metainfo(dict(density_stride=self.stride))
            sample.pred_density = PixelData(density=density)
            # Thousands of small numbers: summed in double precision the count is exact enough.
            sample.pred_count = density.sum(dtype=torch.float64).item()
            if self.localizer is not None:
                sample.pred_instances = self._locate(density[0].detach(), sample)
        return data_samples

    def _locate(self, density: torch.Tensor, sample: CrowdDataSample) -> InstanceData:
        """Points of a density ``(h, w)``, in the original frame."""
        points, scores = self.localizer(density, self.stride)
        height, width = sample.img_shape
        # The last row and column of cells may reach beyond the image.
        points = points.minimum(points.new_tensor((width - 1, height - 1)))
        located = to_original_frame(points.cpu().numpy(), sample.metainfo)
        return InstanceData(points=torch.from_numpy(located).to(points.device), scores=scores)
