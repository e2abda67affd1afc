"""From a picture to its count: a counter in PyTorch beside its exported files."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mmcrowd.apis.agreement import as_batch, open_inference
from mmcrowd.models import BaseCounter

FIRST = 'PyTorch fp32'  # what the others are compared with


class Cost(NamedTuple):
    """What one call costs, in seconds.

    Attributes:
        wall: Time until the answer.
        cpu: Time of all threads together, which others on the machine disturb less.
    """

    wall: float
    cpu: float


def cost_table(costs: Mapping[str, Cost]) -> str:
    """A table in Markdown, with how often each cost goes into that of :data:`FIRST`.

    Examples:
        >>> print(cost_table({FIRST: Cost(2.0, 3.0), 'a.onnx': Cost(0.5, 1.0)}))
        | | wall, s | | CPU, s | |
        |---|---|---|---|---|
        | PyTorch fp32 | 2.000 | 1.0x | 3.000 | 1.0x |
        | a.onnx | 0.500 | 4.0x | 1.000 | 3.0x |
    """
    first = costs[FIRST]
    rows = [
        f'| {name} | {cost.wall:.3f} | {first.wall / cost.wall:.1f}x '
        f'| {cost.cpu:.3f} | {first.cpu / cost.cpu:.1f}x |'
        for name, cost in costs.items()
    ]
    return '\n'.join(['| | wall, s | | CPU, s | |', '|---|---|---|---|---|', *rows])


def make_forms(
    counter: BaseCounter, files: Sequence[str | Path]
) -> dict[str, Callable[[np.ndarray], float]]:
    """Functions that count the people in an image ``(H, W, 3)`` BGR, by what runs the network.

    All of them normalise, pad and sum alike, in PyTorch; no points are sought.

    Args:
        counter: The counter, on the CPU.
        files: Its exported files.

    Returns:
        ``PyTorch fp32``, the same in channels-last memory, ``PyTorch bf16``, and each file by its
        name.
    """
    reference = copy.deepcopy(counter).eval()
    reference.localizer, reference.inference, reference.precision = None, None, 'fp32'
    reference.channels_last = False
    reference.to(memory_format=torch.contiguous_format)
    by_channels = copy.deepcopy(reference).to(memory_format=torch.channels_last)
    by_channels.channels_last = True
    half = copy.copy(by_channels)
    half.precision = 'bf16'
    forms = {
        FIRST: reference,
        'PyTorch fp32, channels last': by_channels,
        'PyTorch bf16': half,
    }
    for file in files:
        forms[Path(file).name] = copy.copy(reference)
        forms[Path(file).name].inference = open_inference(file)
    return {name: _counting(form) for name, form in forms.items()}


def _counting(counter: BaseCounter) -> Callable[[np.ndarray], float]:
    def count(image: np.ndarray) -> float:
        return counter.test_step(as_batch(image))[0].pred_count

    return count


@torch.no_grad()
def time_forms(
    forms: Mapping[str, Callable[[np.ndarray], float]], image: np.ndarray, rounds: int
) -> dict[str, Cost]:
    """The cheapest of several calls of each form, which take turns.

    Args:
        forms: See :func:`make_forms`.
        image: uint8 ``(H, W, 3)`` BGR.
        rounds: Calls of each form, after one that is not timed.

    Returns:
        Smallest wall time and smallest CPU time of each form.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in forms}
    for count in forms.values():
        count(image)
    for _ in range(rounds):
        for name, count in forms.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count(image)
            costs[name].append(Cost(time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Cost(min(each.wall for each in found), min(each.cpu for each in found))
        for name, found in costs.items()
    }
