import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mmcrowd.models.losses.output_loss import as_output_loss
from mmcrowd.ops.precision import multiplies_bfloat16
from mmcrowd.registry import MODELS, TASK_UTILS
from mmcrowd.structures import CrowdDataSample, to_original_frame
from mmcrowd.structures.padding import padding_mask

from .outputs import Outputs, image_outputs, map_stride, map_tensors, without_half


class BaseCounter(BaseModel):
    """What all counters are: ``backbone -> neck (optional) -> head -> named outputs``.

    The counter knows none of its parts. What a system needs has a name among the outputs, and the
    parts that read it are named in the config; ``docs/seams.md`` has the table.

    - A head returns a dict of tensors with N first (or of lists and dicts of them). A plain tensor
      is taken for ``dict(density=...)``.
    - A backbone or a neck may return a dict too. Its ``features`` go on to the next part, and the
      rest joins the outputs.
    - A neck or head with a true ``needs_padding_mask`` is called with ``padding_mask=``, bool
      ``(N, H, W)``, True in the padding.
    - The loss is asked for ``loss(outputs, data_samples, stride)``, see :class:`OutputLoss`. A
      module without this method has the ``forward`` of :class:`DensityLoss`.
    - The localizer is called with the outputs of one image and gives its points, see
      :mod:`mmcrowd.models.localizers`.

    Args:
        backbone: Config of the backbone, of any scope; returns a tuple of feature levels.
        head: Config of the head. It has ``out_stride``, input pixels per cell of the map that the
            loss and the localizer see. If its results would not reach the edge of an image whose
            sides are no multiples of some number of pixels, it has that number as ``size_divisor``.
        loss: Config of the loss.
        neck: Config of the neck. Defaults to None.
        localizer: Config of the localizer. Defaults to None: the counter only counts.
        count_from: What the predicted count is: ``'points'``, the number of the localizer's points,
            or the name of an output, its sum (for a map, in the un-padded area). Defaults to
            ``'density'``.
        inference: Config of a callable ``(run, inputs, data_samples) -> outputs`` in
            ``TASK_UTILS`` that runs the network at test time, in tiles for example;
            ``run(inputs, padding_mask=None)`` gives the outputs of a batch, see
            :meth:`run_network`. With a true ``takes_windows`` it gets a test batch as a
            :class:`~mmcrowd.models.lazy_batch.LazyBatch`, of which no more is normalised than
            what it cuts out. Defaults to None: the whole padded batch at once.
        data_preprocessor: Config of the preprocessor. Defaults to no normalisation and padding to
            multiples of 32.
        precision: ``'fp32'``, ``'bf16'`` or ``'auto'``. With ``'bf16'`` the network runs under
            bfloat16 autocast, in training and inference, on CPU and GPU; parameters, loss and
            predictions stay float32. ``'auto'`` does so where the device multiplies bfloat16
            (:func:`~mmcrowd.ops.precision.multiplies_bfloat16`): elsewhere it is several times
            slower than float32. Defaults to ``'fp32'``.
        channels_last: Whether the network has channels-last memory with ``'fp32'``, too; with the
            others it always has. Defaults to False.
        init_cfg: Initialisation of the whole model. Defaults to None.

    Raises:
        ValueError: ``precision`` is none of the above, or ``count_from='points'`` without a
            localizer.
    """

    PRECISIONS = ('fp32', 'bf16', 'auto')

    def __init__(
        self,
        backbone: dict,
        head: dict,
        loss: dict,
        neck: dict | None = None,
        localizer: dict | None = None,
        count_from: str = 'density',
        inference: dict | None = None,
        data_preprocessor: dict | None = None,
        precision: str = 'fp32',
        channels_last: bool = False,
        init_cfg: dict | None = None,
    ):
        if precision not in self.PRECISIONS:
            raise ValueError(f'precision={precision!r}, expected one of {self.PRECISIONS}')
        if count_from == 'points' and localizer is None:
            raise ValueError("count_from='points' needs a localizer, but got None")
        super().__init__(data_preprocessor or dict(type='CrowdDataPreprocessor'), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck is not None else None
        self.head = MODELS.build(head)
        self.loss_module = as_output_loss(MODELS.build(loss))
        self.localizer = TASK_UTILS.build(localizer) if localizer is not None else None
        self.count_from = count_from
        self.inference = TASK_UTILS.build(inference) if inference is not None else None
        self.precision = precision
        self.channels_last = channels_last
        # Now, since parallel training lays out its gradients like the weights.
        if self._has_channels_last:
            self.to(memory_format=torch.channels_last)

    @property
    def _has_channels_last(self) -> bool:
        return self.channels_last or self.precision != 'fp32'

    @property
    def stride(self) -> int:
        """Input pixels per cell of the map that the loss and the localizer see."""
        return self.head.out_stride

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[CrowdDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Outputs | dict[str, Tensor] | list[CrowdDataSample]:
        """Named outputs, losses or predictions of a preprocessed batch.

        Args:
            inputs: ``(N, C, H, W)``, normalised and padded.
            data_samples: One sample per image. Needed for ``'loss'``; otherwise all of ``inputs``
                counts as image without them.
            mode: ``'tensor'`` gives the named outputs of the padded batch, ``'loss'`` see
                :meth:`loss`, ``'predict'`` see :meth:`predict`.

        Raises:
            ValueError: Unknown mode.
        """
        if mode == 'tensor':
            return self.run_network(inputs, self._padding_mask(inputs, data_samples))
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode={mode!r}, expected 'tensor', 'loss' or 'predict'")

    def test_step(self, data: dict) -> list[CrowdDataSample]:
        """Predictions of a batch as it comes from the loader."""
        if not getattr(self.inference, 'takes_windows', False):
            return super().test_step(data)
        return self._run_forward(self.data_preprocessor.defer(data), mode='predict')

    def val_step(self, data: dict) -> list[CrowdDataSample]:
        """Predictions of a batch as it comes from the loader."""
        return self.test_step(data)

    def run_network(self, inputs: Tensor, padding_mask: Tensor | None = None) -> Outputs:
        """Run backbone, neck and head under the precision of the model.

        Args:
            inputs: ``(N, C, H, W)``.
            padding_mask: ``(N, H, W)`` bool, True in the padding. Defaults to None, no padding.

        Returns:
            The named outputs, float32 where they were of half precision.

        Raises:
            KeyError: A backbone or neck returns a dict without ``features``.
            TypeError: The head returns neither a dict nor a tensor.
            ValueError: Two parts give outputs of one name.
        """
        outputs: Outputs = {}
        with self._precision_context(inputs):
            if self._has_channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            call = partial(_call, inputs=inputs, padding_mask=padding_mask)
            features = _features(self.backbone, self.backbone(inputs), outputs)
            if self.neck is not None:
                features = _features(self.neck, call(self.neck, features), outputs)
            results = call(self.head, features)
        _add(self.head, _named(self.head, results), outputs)
        return without_half(outputs)

    def loss(self, inputs: Tensor, data_samples: list[CrowdDataSample]) -> dict[str, Tensor]:
        """Losses of a training batch; keys start with ``loss_``."""
        outputs = self.run_network(inputs, self._padding_mask(inputs, data_samples))
        return self.loss_module.loss(outputs, data_samples, self.stride)

    def predict(
        self, inputs: Tensor, data_samples: list[CrowdDataSample] | None = None
    ) -> list[CrowdDataSample]:
        """Predictions of a batch, of the un-padded area.

        Args:
            inputs: ``(N, C, H, W)``, normalised and padded.
            data_samples: One sample per image. Defaults to None: all of ``inputs`` is image.

        Returns:
            The samples with ``pred_count``; with ``pred_density`` ``(1, h, w)`` and the meta
            information ``density_stride``, its input pixels per cell, if there is an output
            ``density``; and, with a localizer, with ``pred_instances``: ``points`` ``(k, 2)`` in
            the original frame and ``scores`` ``(k,)``.

        Raises:
            KeyError: There is no output ``count_from``.
            ValueError: The outputs of the padded batch do not reach the edges of an image, since
                its sides are no multiples of the network's strides.
        """
        if data_samples is None:
            data_samples = whole_images(inputs)
        self._check_sides(inputs)
        if self.inference is None:
            outputs = self.run_network(inputs, self._padding_mask(inputs, data_samples))
        else:
            outputs = self.inference(self.run_network, inputs, data_samples)
        self._check_reach(outputs, inputs, data_samples)
        padded = tuple(inputs.shape[-2:])
        for number, sample in enumerate(data_samples):
            image = image_outputs(outputs, number, sample.img_shape, padded, self.stride)
            if 'density' in image:
                stride = map_stride(outputs['density'].shape[-2:], padded, self.stride)
                sample.set_metainfo(dict(density_stride=stride or self.stride))
                sample.pred_density = PixelData(density=image['density'][None])
            if self.localizer is not None:
                detached = map_tensors(Tensor.detach, image)
                sample.pred_instances = locate(self.localizer, detached, self.stride, sample)
            sample.pred_count = self._count(image, sample)
        return data_samples

    @torch.no_grad()
    def batch_counts(self, results: Any) -> Tensor | None:
        """Counts of the images of a training batch by the rule ``count_from``, on the device.

        The host does not wait for the device. What lies in the padding of the batch counts too, and
        so does what a localizer of proposals leaves out since it is outside of the image.

        Args:
            results: What the head has returned for the batch.

        Returns:
            ``(N,)``; None if the head has no output ``count_from``, or points are counted that
            are searched on the host: that is left to the validation, since a network that has
            learned little may give very many of them.
        """
        outputs = _named(self.head, results)
        if self.count_from == 'points':
            count = getattr(self.localizer, 'batch_counts', None)
            return count(without_half(outputs), self.stride) if count is not None else None
        values = outputs.get(self.count_from)
        if not isinstance(values, Tensor):
            return None
        return without_half(values).flatten(1).sum(1)

    def _count(self, image: Outputs, sample: CrowdDataSample) -> float:
        """Count of one image by the rule ``count_from``."""
        if self.count_from == 'points':
            return float(len(sample.pred_instances.points))
        if self.count_from not in image:
            raise KeyError(f'count_from={self.count_from!r} is none of the outputs {list(image)}')
        # Thousands of small numbers: summed in double precision the count is exact enough. On the
        # host, which waits for the number anyway: MPS has no float64.
        return image[self.count_from].cpu().sum(dtype=torch.float64).item()

    def _padding_mask(
        self, inputs: Tensor, data_samples: list[CrowdDataSample] | None
    ) -> Tensor | None:
        """Padding mask of the batch, if there is padding and a part that needs the mask."""
        parts = (self.neck, self.head)
        if data_samples is None or not any(_needs_mask(part) for part in parts):
            return None
        return padding_mask(inputs, data_samples)

    def _check_sides(self, inputs: Tensor) -> None:
        """See that the results of the head reach the edges of the batch."""
        divisor = getattr(self.head, 'size_divisor', 1)
        if any(side % divisor for side in inputs.shape[-2:]):
            raise ValueError(
                f'a batch padded to {tuple(inputs.shape[-2:])} pixels (h, w), expected multiples '
                f'of size_divisor of the head, {divisor}; pad_size_divisor of the '
                'data_preprocessor must be a multiple of it'
            )

    def _check_reach(
        self, outputs: Outputs, inputs: Tensor, data_samples: list[CrowdDataSample]
    ) -> None:
        """See that the maps that are counted or searched reach the edges of the images."""
        padded = tuple(inputs.shape[-2:])
        for name in {'density', self.count_from, getattr(self.localizer, 'source', 'density')}:
            maps = outputs.get(name)
            if not isinstance(maps, Tensor) or maps.ndim != 4:
                continue
            size = tuple(maps.shape[-2:])
            stride = map_stride(size, padded, self.stride) or self.stride
            for sample in data_samples:
                needed = tuple(math.ceil(side / stride) for side in sample.img_shape)
                if size[0] < needed[0] or size[1] < needed[1]:
                    raise ValueError(
                        f'image {sample.get("img_id")!r} of {tuple(sample.img_shape)} pixels '
                        f'(h, w) needs {needed} cells of stride {stride}, but the output '
                        f'{name!r} has {size} for a batch padded to {padded}; pad_size_divisor of '
                        'the data_preprocessor must be a multiple of every stride inside the '
                        'network'
                    )

    def _precision_context(self, inputs: Tensor):
        device = inputs.device
        if self.precision == 'bf16' or (self.precision == 'auto' and multiplies_bfloat16(device)):
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()


def locate(
    localizer: Callable, outputs: Outputs, stride: int, sample: CrowdDataSample
) -> InstanceData:
    """Points of one image by a localizer, in the original frame.

    Args:
        localizer: See :mod:`mmcrowd.models.localizers`.
        outputs: Named outputs of the image.
        stride: Input pixels per cell.
        sample: The image, with ``img_shape`` and what brings points to the original frame.

    Returns:
        ``points`` ``(k, 2)``, those outside the image at its edge, and ``scores`` ``(k,)``.
    """
    height, width = sample.img_shape
    points, scores = localizer(dict(outputs, img_shape=(height, width)), stride)
    # The last row and column of cells may reach beyond the image.
    last = points.new_tensor((width - 1, height - 1))
    outside = (points < -0.5) | (points >= last + 0.5)
    points = torch.where(outside, points.clamp(min=0).minimum(last), points)
    return InstanceData(points=to_original_frame(points, sample.metainfo), scores=scores)


def whole_images(inputs: Tensor) -> list[CrowdDataSample]:
    """Samples for a batch ``(N, C, H, W)`` of which all is image."""
    shape = tuple(inputs.shape[-2:])
    return [CrowdDataSample(metainfo=dict(img_shape=shape)) for _ in range(len(inputs))]


def _needs_mask(part: nn.Module | None) -> bool:
    return getattr(part, 'needs_padding_mask', False)


def _call(part: nn.Module, features: Any, inputs: Tensor, padding_mask: Tensor | None) -> Any:
    """Result of a neck or head, which gets the padding mask if it needs it."""
    if not _needs_mask(part):
        return part(features)
    if padding_mask is None:
        padding_mask = inputs.new_zeros((len(inputs), *inputs.shape[-2:]), dtype=torch.bool)
    return part(features, padding_mask=padding_mask)


def _named(head: nn.Module, results: Any) -> Outputs:
    """The results of a head as named outputs: the one place where a plain density gets its name."""
    if isinstance(results, Tensor):
        return dict(density=results)
    if not isinstance(results, dict):
        raise TypeError(
            f'{type(head).__name__} returned {type(results).__name__}, expected a dict of named '
            'outputs or a density'
        )
    return results


def _features(part: nn.Module, results: Any, outputs: Outputs) -> Any:
    """What a backbone or neck gives to the next part; its named results join the outputs."""
    if not isinstance(results, dict):
        return results
    if 'features' not in results:
        raise KeyError(
            f'{type(part).__name__} returned a dict without "features", which the next part of the '
            f'network takes, but with {list(results)}'
        )
    results = dict(results)
    features = results.pop('features')
    _add(part, results, outputs)
    return features


def _add(part: nn.Module, results: Outputs, outputs: Outputs) -> None:
    """Add the named results of a part to the outputs, in place."""
    if twice := outputs.keys() & results.keys():
        raise ValueError(
            f'{type(part).__name__} returned {sorted(twice)}, which a part before it has returned '
            'too; the names of the outputs of a network must differ'
        )
    outputs.update(results)
