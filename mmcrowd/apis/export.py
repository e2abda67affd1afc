"""Counters for runtimes without mmcrowd: ONNX files and programs of ``torch.export``.

An exported network has these inputs and outputs, whatever the counter:

- ``image`` ``(N, C, H, W)`` float32, normalised, padded to the right and to the bottom; ``H`` and
  ``W`` are any multiples of the divisor;
- ``density`` ``(N, 1, h, w)`` float32, persons per cell; the sum over the cells that the image
  touches is the count;

and where the local maxima are asked for

- ``size`` ``(N, 2)`` int64, an input: height and width of each image before the padding. The
  density is 0 in cells that the image does not touch;
- ``peaks`` ``(N, 1, h, w)`` bool: positive cells that are the largest of the 3 x 3 cells around
  them and reach the threshold.

What a runtime has to know is the metadata of the file, see :func:`metadata_of`.
"""

import copy
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmcv.cnn.utils import fuse_conv_bn
from torch import Tensor, nn

from mmcrowd.datasets.transforms import (
    LoadCrowdImage,
    PackCrowdInputs,
    ResizeByFactor,
    ResizeToFit,
    ResizeToLimits,
    ResizeToMultiple,
)
from mmcrowd.fileio.files import write_atomic
from mmcrowd.models import BaseCounter, SlideInference
from mmcrowd.version import __version__

OPSET = 18  # of the ONNX files; every runtime since 2023 has it

METADATA_FILE = 'metadata.json'  # in programs of torch.export


class ExportNetwork(nn.Module):
    """The network of a counter as it is exported: float32, simple layers, tensors in and out.

    A copy; the counter stays as it is. Batch normalisation is folded into the convolutions, and
    TensorFlow's padding, whose widths are computed from the size of the image, becomes constant:
    for sides that are multiples of the counter's ``pad_size_divisor`` the widths do not vary.

    Args:
        counter: A counter whose count is the sum of its output ``density``.
        peak_threshold: Persons per cell that a local maximum must have. Defaults to None, no
            maxima.

    Raises:
        ValueError: The counter counts otherwise, needs the mask of the padding, counts an image in
            parts, or a stride in it does not divide the divisor.
    """

    network: BaseCounter

    def __init__(self, counter: BaseCounter, peak_threshold: float | None = None):
        super().__init__()
        for part in (counter.neck, counter.head):
            if getattr(part, 'needs_padding_mask', False):
                raise ValueError(
                    f'{type(part).__name__} needs the mask of the padding: such a network cannot '
                    'be exported'
                )
        if counter.count_from != 'density':
            raise ValueError(
                f"count_from={counter.count_from!r}, expected 'density': a counter is exported "
                'as a network with a density whose sum is the count'
            )
        # Tiles of large images give what the whole image gives; other parts do not.
        if counter.inference is not None and not isinstance(counter.inference, SlideInference):
            raise ValueError(
                f'inference={type(counter.inference).__name__} counts an image in parts, but an '
                'exported network counts it as a whole and would answer otherwise: such a counter '
                'cannot be exported'
            )
        if peak_threshold is not None and not 0 <= peak_threshold < float('inf'):
            raise ValueError(f'peak_threshold={peak_threshold!r}, expected a number of at least 0')
        self.peak_threshold = peak_threshold
        self.stride = counter.stride
        network = copy.deepcopy(counter)
        del network.loss_module, network.data_preprocessor
        network.precision, network.channels_last = 'fp32', False
        network.to('cpu', torch.float32, memory_format=torch.contiguous_format)
        network.eval().requires_grad_(False)
        _check_strides(network, example_image(counter, batch=1, sides=(1, 1)))
        self.network = fuse_conv_bn(_with_constant_padding(network)).requires_grad_(False)

    def forward(self, image: Tensor, size: Tensor | None = None) -> tuple[Tensor, ...]:
        """Density, and peaks if the network has them; see the module."""
        density = self.network.run_network(image)['density']
        if self.peak_threshold is None:
            return (density,)
        assert size is not None
        cells = (size + self.stride - 1).div(self.stride, rounding_mode='floor')
        rows, columns = (torch.arange(side) for side in density.shape[-2:])
        inside = (rows < cells[:, :1])[:, None, :, None] & (columns < cells[:, 1:])[:, None, None]
        density = torch.where(inside, density, 0.0)
        peaks = (density > 0) & (density >= self.peak_threshold)
        return density, peaks & (density == F.max_pool2d(density, 3, 1, 1))


def example_image(counter: BaseCounter, batch: int, sides: tuple[int, int]) -> Tensor:
    """Zeros ``(N, C, H, W)`` for a counter; the sides are told in multiples of its divisor."""
    preprocessor = counter.data_preprocessor
    channels = 1 if preprocessor.to_gray else 3
    return torch.zeros(batch, channels, *(preprocessor.pad_size_divisor * side for side in sides))


def _check_strides(network: BaseCounter, image: Tensor) -> None:
    """See that every layer with TensorFlow's padding gets sides that its stride divides."""
    divisor = image.shape[-1]

    def check(layer: Conv2dAdaptivePadding, inputs: tuple[Tensor, ...]) -> None:
        sides = tuple(inputs[0].shape[-2:])
        if any(side % stride for side, stride in zip(sides, layer.stride, strict=True)):
            raise ValueError(
                f'a layer of stride {layer.stride} gets {sides} cells from an image of {divisor} '
                f'pixels, so its padding varies with the image; pad_size_divisor={divisor} of the '
                'data_preprocessor must be a multiple of every stride inside the network'
            )

    layers = [layer for layer in network.modules() if isinstance(layer, Conv2dAdaptivePadding)]
    handles = [layer.register_forward_pre_hook(check) for layer in layers]
    with torch.no_grad():
        network.run_network(image)
    for handle in handles:
        handle.remove()


def _with_constant_padding(module: nn.Module) -> nn.Module:
    """The module, its layers with TensorFlow's padding replaced, in place."""
    for name, child in module.named_children():
        if isinstance(child, Conv2dAdaptivePadding):
            setattr(module, name, ConstantPaddingConv2d(child))
        else:
            _with_constant_padding(child)
    return module


class ConstantPaddingConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding for sides that its stride divides.

    ``(k - 1) d + 1 - s`` cells are then missing along an axis with kernel ``k``, dilation ``d`` and
    stride ``s``; half of them, rounded down, come before the image, the others behind it.

    Args:
        layer: The layer whose parameters this one takes.
    """

    def __init__(self, layer: Conv2dAdaptivePadding):
        missing = [
            max((k - 1) * d + 1 - s, 0)
            for k, d, s in zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
        ]
        is_even = not any(number % 2 for number in missing)
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            tuple(number // 2 for number in missing) if is_even else 0,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            layer.bias is not None,
        )
        self.weight, self.bias = layer.weight, layer.bias
        rows, columns = missing
        self.uneven = (
            None if is_even else (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.uneven is None else F.pad(x, self.uneven))


# -------------------------------------------------------------------------------------- writing


def resizing_of(steps: Iterable[Any]) -> list[dict[str, Any]]:
    """The changes of size in a test pipeline, in the form of the metadata ``resize``.

    Args:
        steps: The transforms of the pipeline.

    Returns:
        A dict for each of them. ``longest``, ``high`` and ``low`` are those of
        :class:`~mmcrowd.datasets.transforms.ResizeToLimits`, the latter two of its ``shortest``;
        ``fit``, ``factor`` and ``multiple`` are the arguments of the other three.

    Raises:
        ValueError: A step is another one.

    Examples:
        >>> resizing_of([LoadCrowdImage(), ResizeToLimits(longest=2048), ResizeToMultiple(4)])
        [{'longest': 2048}, {'multiple': 4}]
    """
    found: list[dict[str, Any]] = []
    for step in steps:
        if isinstance(step, ResizeToLimits):
            shortest = step.shortest
            low, high = shortest if isinstance(shortest, list | tuple) else (shortest, None)
            limits = dict(longest=step.longest, high=high, low=low)
            found.append({key: side for key, side in limits.items() if side is not None})
        elif isinstance(step, ResizeToFit):
            found.append(dict(fit=list(step.size)))
        elif isinstance(step, ResizeByFactor):
            found.append(dict(factor=step.factor))
        elif isinstance(step, ResizeToMultiple):
            found.append(dict(multiple=step.divisor))
        elif not isinstance(step, LoadCrowdImage | PackCrowdInputs):
            raise ValueError(
                f'{type(step).__name__} in the test pipeline: a runtime would not do this, so '
                'such a counter cannot be exported; expected changes of size only'
            )
    return found


def metadata_of(
    counter: BaseCounter,
    name: str,
    peak_threshold: float | None,
    resize: list[dict[str, Any]] | None = None,
) -> dict[str, str]:
    """What a runtime has to know of an exported counter; every value is text.

    Args:
        counter: The counter.
        name: What it is called.
        peak_threshold: Of the local maxima; None without them.
        resize: See :func:`resizing_of`. Defaults to None, none.

    Returns:
        ``model``, the name; ``mmcrowd_version``; ``channel_order``, ``'RGB'``, ``'BGR'`` or
        ``'GRAY'`` (whole grey levels by BT.601); ``mean`` and ``std``, JSON lists of one number for
        each channel: the network sees ``(pixel - mean) / std``; ``divisor``: the sides of the
        padded image, filled with 0 after the normalisation, are multiples of it; ``stride``, input
        pixels per cell of the density; ``resize``, a JSON list of what happens to the size of an
        image before all that; with peaks ``peak_threshold``, persons per cell.
    """
    preprocessor = counter.data_preprocessor
    order = 'GRAY' if preprocessor.to_gray else 'BGR'
    if preprocessor._channel_conversion:
        order = 'RGB'
    channels = len(order) if order != 'GRAY' else 1
    mean, std = [0.0] * channels, [1.0] * channels
    if preprocessor._enable_normalize:
        mean, std = (x.flatten().float().tolist() for x in (preprocessor.mean, preprocessor.std))
    metadata = dict(
        model=name,
        mmcrowd_version=__version__,
        channel_order=order,
        mean=json.dumps(mean),
        std=json.dumps(std),
        divisor=str(preprocessor.pad_size_divisor),
        stride=str(counter.stride),
        resize=json.dumps(resize or []),
    )
    if peak_threshold is not None:
        metadata['peak_threshold'] = repr(float(peak_threshold))
    return metadata


def trace(
    counter: BaseCounter, peak_threshold: float | None = None
) -> torch.export.ExportedProgram:
    """The network of a counter as a program for any number of images of any size.

    Raises:
        ValueError: See :class:`ExportNetwork`.
    """
    network = ExportNetwork(counter, peak_threshold)
    # Numbers that no layer of a network has, so that none is taken for a constant.
    image = example_image(counter, batch=2, sides=(2, 3))
    divisor = counter.data_preprocessor.pad_size_divisor
    batch, height, width = (torch.export.Dim(name) for name in ('batch', 'height', 'width'))
    sides = {2: height, 3: width} if divisor == 1 else {2: divisor * height, 3: divisor * width}
    args: tuple[Tensor, ...] = (image,)
    shapes: dict[str, Any] = dict(image={0: batch, **sides})
    if peak_threshold is not None:
        args = image, torch.tensor([image.shape[-2:]] * len(image))
        shapes['size'] = {0: batch}
    with torch.no_grad():
        program = torch.export.export(network, args, dynamic_shapes=shapes)
    for node in program.graph.nodes:  # where the layers lie on this machine
        node.meta.pop('stack_trace', None)
    return program


def output_names(peak_threshold: float | None) -> list[str]:
    return ['density'] if peak_threshold is None else ['density', 'peaks']


def export_program(
    counter: BaseCounter,
    path: str | Path,
    name: str,
    peak_threshold: float | None = None,
    resize: list[dict[str, Any]] | None = None,
) -> None:
    """Write a counter as a program of ``torch.export`` (``.pt2``).

    ``torch.export.load(path).module()`` gives the network, which returns a tuple; the metadata is
    the extra file ``metadata.json``.

    Args:
        counter: The counter.
        path: The file to write.
        name: What the metadata calls the model.
        peak_threshold: Of the local maxima. Defaults to None, none.
        resize: Of the test pipeline, see :func:`resizing_of`. Defaults to None, none.

    Raises:
        ValueError: See :class:`ExportNetwork`.
    """
    content = io.BytesIO()
    metadata = json.dumps(metadata_of(counter, name, peak_threshold, resize))
    torch.export.save(
        trace(counter, peak_threshold), content, extra_files={METADATA_FILE: metadata}
    )
    write_atomic(path, content.getvalue())


def export_onnx(
    counter: BaseCounter,
    path: str | Path,
    name: str,
    peak_threshold: float | None = None,
    resize: list[dict[str, Any]] | None = None,
) -> None:
    """Write a counter as one ONNX file with the operators of :data:`OPSET`.

    Args:
        counter: The counter.
        path: The file to write.
        name: What the metadata calls the model.
        peak_threshold: Of the local maxima. Defaults to None, none.
        resize: Of the test pipeline, see :func:`resizing_of`. Defaults to None, none.

    Raises:
        ImportError: A package of the extra ``export`` is not installed.
        ValueError: See :class:`ExportNetwork`.
    """
    onnx = require_onnx()
    program = trace(counter, peak_threshold)
    exported = torch.onnx.export(
        program,
        (),
        dynamo=True,
        input_names=['image'] if peak_threshold is None else ['image', 'size'],
        output_names=output_names(peak_threshold),
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )
    assert exported is not None
    model = exported.model_proto
    strip_traces(model)
    name_sides(model)
    onnx.helper.set_model_props(model, metadata_of(counter, name, peak_threshold, resize))
    onnx.checker.check_model(model, full_check=True)
    write_atomic(path, model.SerializeToString())


def strip_traces(model: Any) -> None:
    """Remove what the exporter writes to each node and value of where it came from, in place."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ''
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ''


def name_sides(model: Any) -> None:
    """Call the free sides of all values by what they are, in place of the exporter's symbols."""
    graph = model.graph
    image = graph.input[0].type.tensor_type.shape.dim
    names = {}
    for dim, name in zip((image[0], *image[2:]), ('batch', 'height', 'width'), strict=True):
        # A side such as "16*s3" is that of the image in units of the divisor.
        factor, _, symbol = dim.dim_param.rpartition('*')
        names[symbol] = f'{name}_{factor}' if factor else name
    pattern = re.compile('|'.join(rf'\b{re.escape(symbol)}\b' for symbol in names))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = pattern.sub(lambda found: names[found[0]], dim.dim_param)


def require_onnx() -> Any:
    """The module ``onnx``, after a look whether what exports with it is there.

    Raises:
        ImportError: Not all of the extra ``export`` is installed.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'export to ONNX needs onnx, onnxscript and onnxruntime ({error}): run '
            "`pip install 'mmcrowd[export]'`"
        ) from None
    return onnx
