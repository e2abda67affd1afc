"""Exported counters with 8-bit integers: static quantization of an ONNX file."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mmcrowd.fileio.files import write_atomic
from mmcrowd.models import BaseCounter, OnnxInference

from .agreement import as_batch
from .export import require_onnx, strip_traces
from .inputs import Photo, find_photos, read_photo

# The operators that are quantized. An activation becomes the range of the convolution before it,
# which would otherwise have to hold what is cut off.
QUANTIZED = ('Conv', 'Add', 'Clip', 'Relu')


def calibration_crops(
    photos: Any, number: int = 100, size: int = 512, seed: int = 0
) -> Iterator[np.ndarray]:
    """Crops at random places of photos that are spread evenly over a collection.

    Args:
        photos: Folder, pattern, list: what :func:`~mmcrowd.apis.inputs.find_photos` takes.
        number: Number of crops. Defaults to 100.
        size: Their sides, in pixels; smaller photos are taken whole. Defaults to 512.
        seed: Of the places. Defaults to 0.

    Returns:
        An iterator of uint8 ``(h, w, 3)`` BGR arrays, which raises for a photo that cannot be read.

    Raises:
        FileNotFoundError: There are no such photos.
        ValueError: A number is less than 1.
    """
    if number < 1 or size < 1:
        raise ValueError(f'{number} crops of {size} pixels for calibration, expected at least 1')
    return _crops(list(find_photos(photos)), number, size, seed)


def _crops(found: list[Photo], number: int, size: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    for k in range(number):
        img = read_photo(found[k * len(found) // number]).img
        top, left = (generator.integers(max(side - size, 0) + 1) for side in img.shape[:2])
        yield img[top : top + size, left : left + size]


def quantize_onnx(
    counter: BaseCounter, source: str | Path, path: str | Path, crops: Iterable[np.ndarray]
) -> None:
    """Quantize an exported counter: weights int8 for each channel, activations uint8.

    Of the weights 7 bits are used, with which the file answers alike on all processors.

    The file has pairs of QuantizeLinear and DequantizeLinear around convolutions and sums (QDQ),
    with the smallest and largest activations over the crops as range. The last convolution and what
    follows stay in float32: the density of most cells is near 0, below the step of 8 bits.

    Args:
        counter: The counter that the file was made of; it prepares the crops.
        source: A file of :func:`~mmcrowd.apis.export.export_onnx`.
        path: The file to write.
        crops: uint8 ``(h, w, 3)`` BGR arrays.

    Raises:
        ImportError: A package of the extra ``export`` is not installed.
        ValueError: There are no crops.
    """
    onnx = require_onnx()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    feeds = iter(_feeds(counter, source, crops))
    first = next(feeds, None)
    if first is None:
        raise ValueError('no crops for calibration, expected at least one')
    with tempfile.TemporaryDirectory() as folder:
        folded, quantized = Path(folder, 'folded.onnx'), Path(folder, 'quantized.onnx')
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            quantized,
            _reader(first, feeds),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Sums of two products have 16 bits on x86 processors without VNNI, and saturate with
            # weights of 8: the default model then had counts up to 42 % off.
            reduce_range=True,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_quantize=quantized_nodes(onnx.load(folded).graph),
        )
        model = onnx.load(quantized)
    metadata = {each.key: each.value for each in onnx.load(source).metadata_props}
    strip_traces(model)
    onnx.helper.set_model_props(model, metadata)
    write_atomic(path, model.SerializeToString())


def quantized_nodes(graph: Any) -> list[str]:
    """Names of what is quantized: the operators before the last convolution of the density."""
    producers = {name: node for node in graph.node for name in node.output}
    last = producers['density']
    while last.op_type != 'Conv':
        last = next(
            producers[name]
            for name in last.input
            if name in producers and _leads_to_image(name, producers)
        )
    waiting, before = [last.input[0]], {}
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and node.name not in before:
            before[node.name] = node.op_type
            waiting += node.input
    return [name for name, kind in before.items() if kind in QUANTIZED]


def _leads_to_image(name: str, producers: dict[str, Any]) -> bool:
    """Whether a value is computed from the image by a convolution, and not from its size alone."""
    waiting, seen = [name], set()
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or node.name in seen or node.op_type == 'Shape':
            continue
        if node.op_type == 'Conv':
            return True
        seen.add(node.name)
        waiting += node.input
    return False


def _feeds(
    counter: BaseCounter, source: str | Path, crops: Iterable[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """What the graph gets of each crop."""
    names = OnnxInference(source).inputs
    for crop in crops:
        inputs = counter.data_preprocessor(as_batch(crop))['inputs'].cpu().numpy()
        feed = dict(image=inputs, size=np.array([crop.shape[:2]], np.int64))
        yield {name: feed[name] for name in names}


def _reader(first: dict, others: Iterator[dict]) -> Any:
    """The feeds in the form that ONNX Runtime reads."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = chain([first], others)

        def get_next(self) -> dict | None:
            return next(self.feeds, None)

    return Reader()
