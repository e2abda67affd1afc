"""An exported network in the place of a counter's own."""

from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmcrowd.registry import TASK_UTILS
from mmcrowd.structures import CrowdDataSample

from .counters.outputs import Outputs


@TASK_UTILS.register_module()
class OnnxInference:
    """Run a network that :func:`mmcrowd.apis.export.export_onnx` wrote, in ONNX Runtime on the CPU.

    As ``inference`` of a counter it takes the place of backbone, neck and head at test time;
    everything around them (normalisation, padding, count, localizer, metrics) stays. So the test of
    a config tests the file::

        python tools/test.py CONFIG CHECKPOINT --cfg-options \
            model.inference.type=OnnxInference model.inference.path=counter_int8.onnx

    Args:
        path: The ONNX file.
        threads: Threads of ONNX Runtime. Defaults to None, those of PyTorch.

    Raises:
        ImportError: ONNX Runtime is not installed.
        FileNotFoundError: There is no such file.
        ValueError: ONNX Runtime cannot read the file, or it is no export of a counter.

    Examples:
        The file is opened with the counter, so a wrong path is told before anything is tested:

        >>> OnnxInference('gone.onnx')
        Traceback (most recent call last):
        FileNotFoundError: no ONNX file gone.onnx
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        self.path = Path(path)
        self.session = open_session(path, threads or torch.get_num_threads())
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.outputs = [each.name for each in self.session.get_outputs()]
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        if 'image' not in self.inputs or 'divisor' not in self.metadata:
            raise ValueError(
                f'{path}: inputs {self.inputs} and metadata {sorted(self.metadata)}, expected an '
                'input "image" and "divisor": no file of `mmcrowd export`'
            )

    def __deepcopy__(self, memo: dict) -> 'OnnxInference':
        """One session serves all copies of a counter, of which ``EMAHook`` makes one."""
        return copy(self)

    def __call__(
        self,
        run: Callable[..., Outputs],
        inputs: Tensor,
        data_samples: list[CrowdDataSample],
    ) -> Outputs:
        """Outputs of a batch.

        Args:
            run: The counter's own network, which is not asked.
            inputs: ``(N, C, H, W)`` float32, normalised and padded.
            data_samples: One sample per image, with ``img_shape``.

        Returns:
            ``density`` ``(N, 1, h, w)``, and ``peaks``, bool of this shape, if the file has them.

        Raises:
            ValueError: The sides of the batch are no multiples of the file's divisor.
        """
        divisor = int(self.metadata['divisor'])
        if any(side % divisor for side in inputs.shape[-2:]):
            raise ValueError(
                f'{self.path}: a batch of {tuple(inputs.shape[-2:])} pixels (h, w), expected '
                f'multiples of {divisor}, the pad_size_divisor of the exported counter'
            )
        feed = dict(image=inputs.cpu().numpy())
        if 'size' in self.inputs:
            feed['size'] = np.array([sample.img_shape for sample in data_samples], np.int64)
        values = self.session.run(self.outputs, feed)
        return {
            name: torch.from_numpy(value).to(inputs.device)
            for name, value in zip(self.outputs, values, strict=True)
        }


def open_session(path: str | Path, threads: int):
    """An ``onnxruntime.InferenceSession`` of a file, on the CPU.

    Raises:
        ImportError, FileNotFoundError, ValueError: See :class:`OnnxInference`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no ONNX file {path}')
    try:
        import onnxruntime
    except ImportError:
        raise ImportError(
            'running an ONNX file needs onnxruntime: run `pip install onnxruntime`'
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # its errors have no common class of their own
        raise ValueError(f'{path}: ONNX Runtime cannot read it ({error})') from error
