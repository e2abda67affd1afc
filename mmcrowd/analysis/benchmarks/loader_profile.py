"""Where the time of a loader goes: milliseconds of each step from the file to the network."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from torch.utils.data import Dataset

from mmcrowd.datasets import SeededSamples
from mmcrowd.datasets.wrappers import unwrap
from mmcrowd.models import BaseCounter

# What follows the transforms; the last is done by the process that trains, all others by workers.
COLLATE, HAND_OVER, PREPROCESS = 'collate', 'hand over to the trainer', 'data preprocessor'


class Stopwatch:
    """Processor seconds by name, in the order in which the names came first."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, call: Callable, *args: Any) -> Any:
        """What the call returns."""
        start = time.process_time()
        result = call(*args)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return result


class TimedPipeline:
    """Stands for the pipeline of a dataset, and times each of its transforms.

    Args:
        transforms: Those of the pipeline. One that comes twice is one row.
        watch: Takes the times.
    """

    def __init__(self, transforms: list, watch: Stopwatch):
        self.transforms = transforms
        self.watch = watch

    def __call__(self, results: dict) -> dict | None:
        for transform in self.transforms:
            results = self.watch(type(transform).__name__, transform, results)
            if results is None:
                return None
        return results


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and torch work in one thread, as in a loader's worker."""
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def profile_loader(
    dataset: Dataset,
    preprocessor: Callable[[dict], Any],
    batch_size: int,
    num_batches: int,
    seed: int = 0,
) -> dict[str, float]:
    """Processor milliseconds of an image in each step, in this process.

    The images are those of a shuffled epoch, read once before, so that their files come from
    memory. The reading of entries by the dataset itself, copies of the annotations, is the row of
    its class. A batch is handed over as a loader's worker does it, by shared memory; that the
    trainer maps it again is not counted.

    Args:
        dataset: The dataset, perhaps in wrappers.
        preprocessor: The counter's, for a batch.
        batch_size: Images of a batch.
        num_batches: How many; a data set that is smaller is gone through again.
        seed: Of the order and of the transforms. Defaults to 0.

    Returns:
        By step, in the order of the steps.

    Raises:
        ValueError: The data set is empty, or there is no batch or no image in it.
    """
    if not len(dataset) or min(batch_size, num_batches) < 1:  # type: ignore[arg-type]
        raise ValueError(
            f'{num_batches} batches of {batch_size} from a data set of {len(dataset)} images, '  # type: ignore[arg-type]
            'expected at least 1 of each'
        )
    watch = Stopwatch()
    samples = SeededSamples(dataset, seed)
    batches = list(_draw_batches(len(dataset), batch_size, num_batches, seed))  # type: ignore[arg-type]
    for batch in batches:
        samples(batch)
    leaves: list[Any] = unwrap(dataset)  # datasets of MMEngine, with pipelines
    pipelines = [(leaf, leaf.pipeline) for leaf in leaves]
    try:
        for leaf, pipeline in pipelines:
            leaf.pipeline = TimedPipeline(pipeline.transforms, watch)
        inside = 0.0
        for batch in batches:
            start = time.process_time()
            before = sum(watch.seconds.values())
            loaded = samples(batch)
            inside += time.process_time() - start - (sum(watch.seconds.values()) - before)
            collated = watch(COLLATE, pseudo_collate, loaded)
            watch(HAND_OVER, ForkingPickler.dumps, collated)
            watch(PREPROCESS, preprocessor, collated)
    finally:
        for leaf, pipeline in pipelines:
            leaf.pipeline = pipeline
    steps = {type(pipelines[0][0]).__name__: inside, **watch.seconds}
    return {name: 1e3 * value / (batch_size * num_batches) for name, value in steps.items()}


def _draw_batches(length: int, batch_size: int, num_batches: int, seed: int) -> Iterator[list[int]]:
    rng = np.random.default_rng(seed)
    order: list[int] = []
    for _ in range(num_batches):
        while len(order) < batch_size:
            order += rng.permutation(length).tolist()
        yield order[:batch_size]
        del order[:batch_size]


def time_step(
    cfg: Config, counter: BaseCounter, dataset: Dataset, batch_size: int, rounds: int = 3
) -> float:
    """Median seconds of a training step on the first batch of a dataset, by the clock.

    Args:
        cfg: Config with ``optim_wrapper``.
        counter: The counter; it is trained.
        dataset: The dataset.
        batch_size: Images of the batch.
        rounds: Steps that are timed, after one that is not. Defaults to 3.
    """
    counter.train()
    optim_wrapper = build_optim_wrapper(counter, cfg.optim_wrapper)
    batch = pseudo_collate(SeededSamples(dataset, seed=0)(range(batch_size)))
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        counter.train_step(dict(batch), optim_wrapper)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def profile_table(steps: dict[str, float]) -> str:
    """Milliseconds and shares of the steps, and images a second, as a table in Markdown.

    Args:
        steps: See :func:`profile_loader`.

    Examples:
        >>> print(profile_table({'LoadCrowdImage': 6.0, PREPROCESS: 2.0}))
        | step | ms | share |
        |---|---|---|
        | LoadCrowdImage | 6.00 | 75 % |
        | data preprocessor | 2.00 | 25 % |
        <BLANKLINE>
        A worker makes 166.7 images a second.
    """
    total = sum(steps.values())
    rows = [f'| {name} | {ms:.2f} | {ms / total:.0%} |' for name, ms in steps.items()]
    rows = ['| step | ms | share |', '|---|---|---|', *(row.replace('%', ' %') for row in rows)]
    return '\n'.join([*rows, '', f'A worker makes {worker_rate(steps):.1f} images a second.'])


def worker_rate(steps: dict[str, float]) -> float:
    """Images that a worker makes in a second of its processor, see :func:`profile_loader`."""
    return 1e3 / sum(ms for name, ms in steps.items() if name != PREPROCESS)
