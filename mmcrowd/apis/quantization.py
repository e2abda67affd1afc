"""Exported counters with 8-bit integers: static quantization of an ONNX file."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmcrowd.fileio.files import write_atomic
from mmcrowd.models import BaseCounter, OnnxInference
from mmcrowd.models.onnx_inference import open_session

from .agreement import as_batch
from .export import require_onnx, strip_traces
from .inputs import Photo, find_photos, read_photo

# The operators that are quantized. An activation becomes the range of the convolution before it,
# which would otherwise have to hold what is cut off.
QUANTIZED = ('Conv', 'Add', 'Clip', 'Relu')
# Numbers of first convolutions that are tried to be left in float32, the crops on which that is
# judged, and the difference of the counts, as share of them, that will do.
FLOAT_FIRST = (0, 1, 2, 4, 8)
PROBES = 10
TOLERANCE = 0.01


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
) -> int:
    """Quantize an exported counter: weights int8 for each channel, activations uint8.

    The file has pairs of QuantizeLinear and DequantizeLinear around convolutions and sums (QDQ),
    with the smallest and largest activations over the crops as range. The last convolution and what
    follows stay in float32: the density of most cells is near 0, below the step of 8 bits. So do as
    few of the first convolutions as it takes for counts that differ by 1 % at most on ten of the
    crops; they may have single channels of a wide range, which leaves few steps to the others.

    Args:
        counter: The counter that the file was made of; it prepares the crops.
        source: A file of :func:`~mmcrowd.apis.export.export_onnx`.
        path: The file to write.
        crops: uint8 ``(h, w, 3)`` BGR arrays.

    Returns:
        How many of the first convolutions are in float32. Where no number of :data:`FLOAT_FIRST`
        comes to 1 %, it is the one that comes nearest.

    Raises:
        ImportError: A package of the extra ``export`` is not installed.
        ValueError: There are no crops.
    """
    onnx = require_onnx()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    crops = list(crops)
    if not crops:
        raise ValueError('no crops for calibration, expected at least one')
    found = []
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder, 'folded.onnx')
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        graph = onnx.load(folded).graph
        probes = list(_feeds(counter, source, crops[:: -(-len(crops) // PROBES)]))
        expected = _counts(source, probes)
        for first in FLOAT_FIRST:
            nodes = quantized_nodes(graph, first)
            if not nodes:
                break
            quantized = Path(folder, f'{first}.onnx')
            quantize_static(
                folded,
                quantized,
                _reader(_feeds(counter, source, crops)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=list(QUANTIZED),
                nodes_to_quantize=nodes,
            )
            difference = np.abs(_counts(quantized, probes) - expected).sum()
            found.append((difference, first))
            if difference <= TOLERANCE * expected.sum():
                break
        first = min(found)[1]
        model = onnx.load(Path(folder, f'{first}.onnx'))
    metadata = {each.key: each.value for each in onnx.load(source).metadata_props}
    strip_traces(model)
    onnx.helper.set_model_props(model, metadata)
    write_atomic(path, model.SerializeToString())
    return first


def _counts(path: str | Path, feeds: Iterable[dict[str, np.ndarray]]) -> np.ndarray:
    """What a file counts."""
    session = open_session(path, threads=torch.get_num_threads())
    return np.array([session.run(['density'], feed)[0].sum(dtype=float) for feed in feeds])


def quantized_nodes(graph: Any, first: int = 0) -> list[str]:
    """Names of what is quantized: the operators before the last convolution of the density.

    Args:
        graph: Of the exported network.
        first: So many of the first convolutions, and what is before the next one, stay as they are.
            Defaults to 0.
    """
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
    ordered = [node for node in graph.node if node.name in before]
    convolutions = [k for k, node in enumerate(ordered) if node.op_type == 'Conv']
    if first:
        ordered = ordered[convolutions[first] :] if first < len(convolutions) else []
    return [node.name for node in ordered if node.op_type in QUANTIZED]


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


def _reader(feeds: Iterator[dict]) -> Any:
    """The feeds in the form that ONNX Runtime reads."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict | None:
            return next(feeds, None)

    return Reader()
