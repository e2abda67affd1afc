"""Training steps of one process against those of several together, on a CPU."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed
import torch.multiprocessing
from mmengine.config import Config
from mmengine.registry import init_default_scope

from .train_step import make_step


@dataclass(frozen=True)
class Rates:
    """Images per second in each round.

    Attributes:
        one: Of one process alone.
        together: Of all processes together.
    """

    one: list[float]
    together: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast they are together, in each round."""
        return [both / one for both, one in zip(self.together, self.one, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)


def summarize(values: list[float], unit: str = '') -> str:
    """Median and range.

    Args:
        values: Of the rounds.
        unit: Follows the median. Defaults to ''.

    Examples:
        >>> summarize([1.5, 1.8, 2.0], ' images/s')
        '1.800 images/s (1.500 to 2.000)'
    """
    return f'{statistics.median(values):.3f}{unit} ({min(values):.3f} to {max(values):.3f})'


def measure(
    cfg: Config,
    batch_size: int = 1,
    size: int = 256,
    steps: int = 3,
    rounds: int = 5,
    number: int = 2,
    precision: str = 'fp32',
) -> Rates:
    """Time steps of one process, while the others wait, and of all of them, in turn.

    Each process has one thread and a batch of its own. Together they take the mean of their
    gradients in each step, by gloo.

    Args:
        cfg: See :func:`~mmcrowd.analysis.benchmarks.train_step.make_step`.
        batch_size: Images in a step of a process. Defaults to 1.
        size: Their side in pixels. Defaults to 256.
        steps: Steps of a round, for each of the two. Defaults to 3.
        rounds: Defaults to 5.
        number: Of processes. Defaults to 2.
        precision: See :class:`~mmcrowd.models.BaseCounter`. Defaults to ``'fp32'``.
    """
    work = cfg, precision, batch_size, size
    with tempfile.TemporaryDirectory() as folder:
        seconds = torch.zeros(rounds, 2).share_memory_()
        torch.multiprocessing.start_processes(
            _run, (number, f'{folder}/store', work, steps, seconds), number, start_method='fork'
        )
    images = batch_size * steps
    return Rates(
        one=[images / value for value in seconds[:, 0].tolist()],
        together=[number * images / value for value in seconds[:, 1].tolist()],
    )


def _run(
    rank: int,
    number: int,
    store: str,
    work: tuple[Config, str, int, int],
    steps: int,
    seconds: torch.Tensor,
) -> None:
    """What each process does; the first one fills in the seconds of the steps of a round."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=number
    )
    init_default_scope(work[0].default_scope)
    alone = make_step(*work)
    together = make_step(*work, parallel=True)
    # The first steps allocate and choose kernels.
    alone()
    together()
    for row in seconds:
        for column, step in enumerate((alone if rank == 0 else None, together)):
            passed = _time(step, steps)
            if rank == 0:
                row[column] = passed
    torch.distributed.destroy_process_group()


def _time(step: Callable[[], float] | None, steps: int) -> float:
    """Seconds until all processes have taken their steps; one without a step just waits."""
    torch.distributed.barrier()
    start = time.perf_counter()
    if step is not None:
        for _ in range(steps):
            step()
    torch.distributed.barrier()
    return time.perf_counter() - start
