from abc import abstractmethod
from contextlib import nullcontext

import torch
from mmengine.model import BaseModel

from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample


class BaseCounter(BaseModel):
    """What the counters have in common: ``backbone -> neck (optional) -> head``, and a loss.

    Args:
        backbone: Config of the backbone, of any scope; returns a tuple of feature levels.
        head: Config of the head.
        loss: Config of the loss.
        neck: Config of the neck. Default None.
        data_preprocessor: Config of the preprocessor. Default: no normalisation, pad to 32.
        precision: ``'fp32'`` (default) or ``'bf16'``: the network runs under bfloat16 autocast with
            channels-last memory, in training and inference, on CPU and GPU. Parameters, loss and
            predictions stay float32. This is the fast way on CPUs with AMX or AVX512-BF16.
        init_cfg: Initialisation of the whole model. Default None.

    Raises:
        ValueError: If ``precision`` is none of the above.
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

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: list[CrowdDataSample] | None = None,
        mode: str = 'tensor',
    ) -> torch.Tensor | tuple[torch.Tensor, ...] | dict[str, torch.Tensor] | list[CrowdDataSample]:
        """Plain outputs, losses or predictions of a preprocessed batch.

        Args:
            inputs: ``(N, C, H, W)``, normalised and padded.
            data_samples: One sample per image; needed for ``'loss'``.
            mode: ``'tensor'`` gives the outputs of the head, ``'loss'`` see :meth:`loss`,
                ``'predict'`` see :meth:`predict`.
        """
        if mode == 'tensor':
            return self._forward(inputs)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode={mode!r}, expected 'tensor', 'loss' or 'predict'")

    @abstractmethod
    def _forward(self, inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Outputs of the head in float32, of the padded batch."""

    @abstractmethod
    def loss(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample]
    ) -> dict[str, torch.Tensor]:
        """Losses of a training batch; keys start with ``loss_``."""

    @abstractmethod
    def predict(
        self, inputs: torch.Tensor, data_samples: list[CrowdDataSample] | None = None
    ) -> list[CrowdDataSample]:
        """Predictions of a batch; without ``data_samples`` all of ``inputs`` counts as image."""

    def _run_network(self, inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """What the head returns, under the precision of the model."""
        with self._precision_context(inputs):
            if self.precision == 'bf16':
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            features = self.backbone(inputs)
            if self.neck is not None:
                features = self.neck(features)
            return self.head(features)

    def _precision_context(self, inputs: torch.Tensor):
        if self.precision == 'fp32':
            return nullcontext()
        return torch.autocast(inputs.device.type, dtype=torch.bfloat16)


def whole_images(inputs: torch.Tensor) -> list[CrowdDataSample]:
    """Samples for a batch ``(N, C, H, W)`` of which all is image."""
    shape = tuple(inputs.shape[-2:])
    return [CrowdDataSample(metainfo=dict(img_shape=shape)) for _ in inputs]
