"""Forward and backward of PMLLoss, of its dense formula and of other losses."""

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from mmcrowd.models.losses.reference import dense_pml
from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.registry import MODELS

from .memory import peak_of_torch

REPEATS = 5  # timed calls of a form in a row

Call = Callable[[], None]


def make_calls(
    num_points: int, size: int, stride: int, cost: str, losses: Sequence[str], device: str
) -> dict[str, Call]:
    """Functions that run forward and backward of one image, the same in every call.

    Args:
        num_points: Its points.
        size: Side of its density map in cells.
        stride: Input pixels per cell.
        cost: Of PMLLoss.
        losses: Other losses, with their defaults.
        device: Where they run.

    Returns:
        ``inside``, PMLLoss that makes the partition; ``given``, PMLLoss with it; ``dense``, its
        formula on dense matrices; and the other losses by their names.
    """
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(num_points, 2, generator=generator) * size * stride
    density = torch.rand(1, 1, size, size, generator=generator)
    density *= num_points / density.sum()
    points, density = points.to(device), density.to(device).requires_grad_()
    partition = partition_batch([points], density.shape[2:], stride)

    def run(loss: Callable[..., dict[str, Tensor]], partition: Partition | None = None) -> None:
        density.grad = None
        values = loss(density, [points], stride, partition).values()
        reduce(operator.add, values).backward()

    def dense(
        density: Tensor, points: list[Tensor], stride: int, partition: None
    ) -> dict[str, Tensor]:
        return dict(loss=dense_pml(density[0, 0], points[0], stride, cost))

    pml = MODELS.build(dict(type='PMLLoss', cost=cost))
    others = {name: MODELS.build(dict(type=name)).to(device) for name in losses}
    return dict(
        inside=partial(run, pml),
        given=partial(run, pml, partition),
        dense=partial(run, dense),
        **{name: partial(run, loss) for name, loss in others.items()},
    )


def time_calls(calls: Mapping[str, Call], seconds: float, device: str) -> dict[str, list[float]]:
    """Seconds of the calls of each form.

    The forms run in turn, each :data:`REPEATS` times in a row after one call that is not timed.

    Args:
        calls: See :func:`make_calls`.
        seconds: How long to go on; each form has its turn once at least.
        device: Where they run.
    """
    times: dict[str, list[float]] = {form: [] for form in calls}
    end = time.perf_counter() + seconds
    while not all(times.values()) or time.perf_counter() < end:
        for form, call in calls.items():
            call()
            times[form] += [_time(call, device) for _ in range(REPEATS)]
    return times


def peak_memory(call: Call, device: str) -> float:
    """Largest memory in MiB that is allocated at one time during a call, beyond that before it."""
    if device == 'cpu':
        return peak_of_torch(call)
    torch.accelerator.reset_peak_memory_stats()
    before = torch.accelerator.memory_allocated()
    call()
    return (torch.accelerator.max_memory_allocated() - before) / 2**20


def _time(call: Call, device: str) -> float:
    start = time.perf_counter()
    call()
    if device != 'cpu':
        torch.accelerator.synchronize()
    return time.perf_counter() - start
