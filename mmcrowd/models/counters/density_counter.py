import math
from contextlib import nullcontext

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData

from mmcrowd.models.partition import Partition
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample


@MODELS.register_module()
class DensityCounter(BaseModel):
    """A counter that predicts a density map, whose sum is the count.

    ``backbone -> neck (optional) -> head -> density``; any density loss trains it.

    Args:
        backbone: Config of the backbone, of any scope; returns a tuple of feature levels.
        head: Config of the head; it has ``out_stride``, input pixels per density cell.
        loss: Config of a density loss,
            ``forward(density, points, stride, partition=None) -> dict``.
        neck: Config of the neck. Default None.
        data_preprocessor: Config of the preprocessor. Default: no normalisation, pad to 32.
        precision: ``'fp32'`` (default) or ``'bf16'``: the network runs under bfloat16 autocast with
            channels-last memory, in training and inference, on CPU and GPU. Parameters, loss and
            density stay float32. This is the fast way on CPUs with AMX or AVX512-BF16.
        init_cfg: Initialisation of the whole model. Default None.
    """

    PRECISIONS = ('fp32', 'bf16')

    def __init__(
        self,
        backbone: dict,
        head: dict,
        loss: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        precision: str = 'fp32',
        init_cfg: dict | None = None,
    ):
        if precision not in self.PRECISIONS:
            raise ValueError(f'precision={precision!r}, expected one of {self.PRECISIONS}')
        super().__init__(data_preprocessor or dict(type='CrowdDataPreprocessor'), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck is not None else None
        self.head = MODELS.build(head)
        self.loss_module = MODELS.build(loss)
        self.precision = precision
        if precision == 'bf16':
            self.to(memory_format=torch.channels_last)

    @property
    def stride(self) -> int:
        """Input pixels per density cell."""
        return self.head.out_stride

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: list[CrowdDataSample] | None = None,
        mode: str = 'tensor',
    ) -> torch.Tensor | dict[str, torch.Tensor] | list[CrowdDataSample]:
        """Density, losses or predictions of a preprocessed batch.

        Args:
            inputs: ``(N, C, H, W)``, normalised and padded.
            data_samples: One sample per image; needed for ``'loss'``.
            mode: ``'tensor'`` gives the density, ``'loss'`` see :meth:`loss`, ``'predict'`` see
                :meth:`predict`.
        """
        if mode == 'tensor':
            return self.predict_density(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode={mode!r}, expected 'tensor', 'loss' or 'predict'")

    def predict_density(self, inputs: torch.Tensor) -> torch.Tensor:
        """Density ``(N, 1, h, w)`` float32, persons per cell, of the padded batch."""
        with self._precision_context(inputs):
            if self.precision == 'bf16':
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            features = self.backbone(inputs)
            if self.neck is not None:
                features = self.neck(features)
            density = self.head(features)
        return density.float()

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
            shape = tuple(inputs.shape[-2:])
            data_samples = [CrowdDataSample(metainfo=dict(img_shape=shape)) for _ in inputs]
        for density, sample in zip(self.predict_density(inputs), data_samples, strict=True):
            height, width = (math.ceil(side / self.stride) for side in sample.img_shape)
            density = density[:, :height, :width]
            sample.pred_density = PixelData(density=density)
            # Thousands of small numbers: summed in double precision the count is exact enough.
            sample.pred_count = density.sum(dtype=torch.float64).item()
        return data_samples

    def _precision_context(self, inputs: torch.Tensor):
        if self.precision == 'fp32':
            return nullcontext()
        return torch.autocast(inputs.device.type, dtype=torch.bfloat16)


def _stack_partition(data_samples: list[CrowdDataSample]) -> Partition | None:
    """Partition of the batch, if every sample brings one of the same size."""
    given = [sample.gt_partition for sample in data_samples if 'gt_partition' in sample]
    if len(given) < len(data_samples) or len({item.shape for item in given}) > 1:
        return None
    return Partition(
        index=torch.cat([item.index for item in given]),
        distance=torch.cat([item.distance for item in given]),
    )
