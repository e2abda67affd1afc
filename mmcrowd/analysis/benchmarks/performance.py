"""What each part costs on one machine: the tables of docs/performance.md.

Every function makes one table in Markdown, from measurements that other modules of this package
make. Times are medians by the clock with all threads of torch, unless a table says otherwise.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch.utils.data import Dataset

from mmcrowd.engine.config import read_config, set_data_root
from mmcrowd.evaluation.functional.counting import count_errors, density_by_region, game
from mmcrowd.evaluation.functional.localization import match_points, match_points_at_radii
from mmcrowd.fileio.files import is_hidden
from mmcrowd.registry import DATASETS, MODELS, TASK_UTILS

from .gpu import (
    PML_FORMS,
    PUBLISHED_RATIO,
    build_counter,
    density_losses,
    loss_ratios,
    measure_counter,
    measure_losses,
)
from .loader import POINTS, build_photos
from .loader_profile import one_thread, profile_loader, profile_table
from .localizers import make_crowd, make_outputs
from .memory import peak_of_torch
from .processes import Rates, measure, summarize
from .train_step import make_batch, make_step
from .waiting import measure_waiting

CPU = torch.device('cpu')
LOCALIZERS: tuple[dict, ...] = (
    dict(type='LocalMaximum'),
    dict(type='MultiScaleMaximum'),
    dict(type='ConnectedComponents', source='map'),
    dict(type='BoxNMS'),
    dict(type='CountGuidedPeaks'),
    dict(type='OTMinimization'),
    dict(type='BlockMaximum'),
    dict(type='ScaleBoxNMS'),
    dict(type='ProposalThreshold'),
    dict(type='SigmoidThreshold'),
)


def performance_page(
    data: Path, counters: Sequence[str], size: int, seconds: float, num_images: int, quick: bool
) -> Iterator[str]:
    """Measure everything.

    Args:
        data: Folder of ShanghaiTech, with ``part_A`` and ``part_B``.
        counters: Configs of the package.
        size: Side of the images of the counters in pixels.
        seconds: For each measurement.
        num_images: Of the loader.
        quick: Whether a trial with small sizes will do.

    Yields:
        The parts of the page in Markdown, each as soon as it has been measured.

    Raises:
        FileNotFoundError: There are no images of part A.
    """
    folder = data / 'part_A' / 'train_data' / 'images'
    sources = sorted(path for path in folder.glob('*.jpg') if not is_hidden(path.name))
    if not sources:
        raise FileNotFoundError(f'no *.jpg in {folder}')
    cells, points, people = (64, [9], [20]) if quick else (256, [54, 400, 1250], [300, 2000])
    yield f"""# Performance

Written by `python tools/benchmarks/performance.py data/ShanghaiTech --out docs/performance.md`, on
{describe_machine()}.

Times are medians by the clock with all threads unless a table says otherwise; on another machine
expect the ratios rather than the milliseconds. [speed.md](speed.md) says what makes the difference,
[scale.md](scale.md) what to expect of many machines."""
    yield f"""## Counters

Milliseconds for one image of {size} x {size} pixels: a training step (forward, loss, backward,
optimizer) and inference (the network alone). The counters are one of each system, not all of its
backbones and data sets. Memory is what a call allocates and gives back, in float32; parameters and
the moments of the optimizer come on top.

{counters_table(counters, size, seconds)}"""
    yield f"""## Losses

Forward and backward of every loss that takes a density and points, with its defaults, on
{cells} x {cells} cells at stride 2, all on the same drawn crowd. "Partition given" is the usual
case of PML: loader workers make it. The others make what they need of it inside, and "x PML" is how
many times as long they take as PML that does, too. (Published: GL takes {PUBLISHED_RATIO} times as
long as PML on an RTX 3090 Ti.)

{losses_table(points, cells, seconds)}"""
    yield f"""## Localizers

One search in what a network would give for a crowd on {cells} x {cells} cells at stride 2, default
settings: in its density, for `BlockMaximum` on four scales; for `ConnectedComponents` in a map that
is high in 3 x 3 cells about a head, for `ScaleBoxNMS` in the probabilities of the boxes of four
scales, and for the last two among a proposal every four pixels.

{localizers_table(people, cells)}"""
    yield f"""## Metrics

Uniform points in an image of 1000 x 1000 pixels, as many predicted as true; one thread.

{metrics_table([*people, 5 * people[-1]])}"""
    rates = measure(
        read_config('mmcrowd::pml_vgg16_shb'),
        size=size,
        steps=1 if quick else 3,
        rounds=2 if quick else 7,
    )
    yield f"""## Two processes

Training steps of the VGG-16 counter by gloo, an image of {size} x {size} pixels in a process, in
turn with steps of one process while the other waits: {processes_text(rates)}"""
    with one_thread():
        cfg = read_config('mmcrowd::pml_vgg16_shb')
        set_data_root(cfg, str(data / 'part_B'))
        yield f"""## Loader

Processor milliseconds for an image in each step, one thread; all but the last are the work of a
loader worker.

ShanghaiTech B, `pml_vgg16_shb`:

{loader_table(cfg, DATASETS.build(cfg.train_dataloader.dataset), num_images)}"""
        cfg = read_config('mmcrowd::pml_hrnet_qnrf')
        with TemporaryDirectory() as temporary:
            photos = build_photos(cfg, sources, (3000, 2000), 2.5, num_images, Path(temporary))
            yield f"""Photos of 3000 x 2000 pixels, {POINTS} people each, `pml_hrnet_qnrf`. It loads
lazily: they are decoded in `RandomScaleCrop`, as far as the crop needs them.

{loader_table(cfg, photos, num_images)}"""
    name, steps, skip = ('pml_mcnn_shb_cpu', 4, 2) if quick else ('pml_vgg16_shb_cpu', 35, 5)
    cfg = read_config(f'mmcrowd::{name}')
    set_data_root(cfg, str(data / 'part_B'))
    waited = measure_waiting(cfg, steps, skip, num_workers=2)
    yield f"""## Waiting for data

A training of `{name}` on ShanghaiTech B by MMEngine's runner with two loader workers on the same
cores, `data_time` and `time` of its log, without the first {skip} steps: {waited}."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown.

    Examples:
        >>> print(table(['a', 'ms'], [('x', 1.5)]))
        | a | ms |
        |---|---|
        | x | 1.5 |
    """
    lines = [head, ['---'] * len(head), *rows]
    text = ['| ' + ' | '.join(map(str, line)) + ' |' for line in lines]
    return '\n'.join(text).replace('| --- ', '|---').replace('--- |', '---|')


def describe_machine() -> str:
    """Processor, cores and versions, in a line."""
    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        lines = info.read_text(encoding='utf-8').splitlines()
        name = next((s.split(':')[1].strip() for s in lines if s.startswith('model name')), name)
    return (
        f'{name}, {os.cpu_count()} cores ({torch.backends.cpu.get_cpu_capability()}), '
        f'{torch.get_num_threads()} threads, torch {torch.__version__}, OpenCV {cv2.__version__}, '
        f'Python {platform.python_version()}'
    )


def counters_table(names: Sequence[str], size: int, seconds: float) -> str:
    """Training step and inference of counters, one image at a time, and the memory of both.

    Memory is what a call allocates and gives back: for a step without parameters and the
    optimizer's moments, which are the number of parameters times 4 to 16 bytes. What does not run
    has a line below the table that says why.

    Args:
        names: Configs of the package.
        size: Side of the images in pixels.
        seconds: For each measurement.
    """
    rows, notes = [], []
    for name in names:
        cfg = read_config(f'mmcrowd::{name}')
        found = list(measure_counter(name, cfg, ('fp32', 'bf16'), (1, size), CPU, seconds))
        times = ['-' if m.milliseconds is None else f'{m.milliseconds:.0f}' for m in found]
        network = build_counter(cfg, 'fp32', CPU)
        parameters = sum(p.numel() for p in network.parameters()) / 1e6
        ran = all(m.milliseconds is not None for m in found)
        memory = [f'{m:.0f}' for m in _memory(cfg, size)] if ran else ['-', '-']
        rows.append((f'`{name.removesuffix(".py")}`', f'{parameters:.2f} M', *times, *memory))
        notes += [f'- `{m.name}`, {m.kind}, {m.variant}: {m.note}' for m in found if m.note]
    head = ['', 'parameters', 'step, fp32', 'inference', 'step, bf16', 'inference']
    lines = table([*head, 'MiB, step', 'inference'], rows)
    return '\n'.join([lines, '', *notes]) if notes else lines


def _memory(cfg: Config, size: int) -> tuple[float, float]:
    step = make_step(cfg, 'fp32', 1, size)
    step()  # the moments of the optimizer
    counter = build_counter(cfg, 'fp32', CPU).eval()
    inputs = counter.data_preprocessor(make_batch(cfg, 1, size))['inputs']
    of_step = peak_of_torch(step)
    with torch.no_grad():
        return of_step, peak_of_torch(lambda: counter(inputs))


def losses_table(numbers: Sequence[int], size: int, seconds: float) -> str:
    """Forward and backward of PML, its dense form and every other density loss.

    Args:
        numbers: Of points.
        size: Side of the map in cells, at stride 2.
        seconds: For each measurement.
    """
    others = density_losses()
    found = list(measure_losses(numbers, size, 2, CPU, seconds, others))
    times = {(m.name, m.variant): m.milliseconds for m in found}
    # PML is as long as itself; one that did not run has no ratio.
    ratios = {points: {'PML': 1.0} | of for points, of in loss_ratios(found).items()}
    points = [f'{number} points' for number in numbers]
    rows = []
    for name in (*PML_FORMS, *others):
        pairs = [
            (_number(times[name, column]), _number(ratios.get(column, {}).get(name)))
            for column in points
        ]
        shown = name if name in PML_FORMS else f'`{name}`'
        rows.append((shown, *(cell for pair in pairs for cell in pair)))
    head = [cell for column in points for cell in (f'{column}, ms', 'x PML')]
    return table(['', *head], rows)


def localizers_table(people: Sequence[int], size: int) -> str:
    """One search of each localizer in what networks would give for a drawn crowd.

    Args:
        people: Of each crowd.
        size: Side of the map in cells, at stride 2.
    """
    crowds = [make_outputs(*make_crowd(number, size, 2, 0), 2) for number in people]
    rows = []
    for cfg in LOCALIZERS:
        localizer = TASK_UTILS.build(cfg)
        rows.append(
            (cfg['type'], *(_number(_milliseconds(partial(localizer, o, 2))) for o in crowds))
        )
    return table(['ms', *(f'{number} people' for number in people)], rows)


def metrics_table(numbers: Sequence[int]) -> str:
    """The evaluation of an image with as many predicted as true points.

    Args:
        numbers: Of points.
    """
    columns = []
    for number in numbers:
        rng = np.random.default_rng(0)
        pred, true = rng.random((2, number, 2)) * 1000
        radii = list(map(float, range(1, 101)))
        density = rng.random((500, 500))
        columns.append(
            [
                _milliseconds(partial(match_points, pred, true, 8.0)),
                _milliseconds(partial(match_points_at_radii, pred, true, radii)),
                _milliseconds(partial(_game, density)),
                _milliseconds(partial(count_errors, rng.random(number), rng.random(number) + 1)),
            ]
        )
    names = (
        'points within 8 px',
        'points within 1 to 100 px',
        'GAME(3) of two densities of 500 x 500 cells',
        'MAE, RMSE, NAE of as many images',
    )
    rows = [(name, *(f'{column[k]:.3f}' for column in columns)) for k, name in enumerate(names)]
    return table(['ms', *(f'{number} points' for number in numbers)], rows)


def _game(density: np.ndarray) -> float:
    size = 2 * density.shape[0], 2 * density.shape[1]
    regions = [[density_by_region(density, size, 2, 3)] for _ in range(2)]
    return game(*regions)


def loader_table(cfg: Config, dataset: Dataset, num_images: int) -> str:
    """Where the loader of a config spends its time; see :mod:`.loader_profile`.

    Args:
        cfg: Config with the counter and the batch size.
        dataset: The training images.
        num_images: How many of them.
    """
    model = MODELS.build(cfg.model)
    batch_size = cfg.train_dataloader.batch_size
    batches = -(-num_images // batch_size)
    return profile_table(profile_loader(dataset, model.data_preprocessor, batch_size, batches))


def processes_text(rates: Rates) -> str:
    """One process against two; see :mod:`.processes`."""
    return (
        f'{summarize(rates.one, " images a second")} in one process of one thread, '
        f'{summarize(rates.together)} in two: **{rates.ratio:.3f}x** '
        f'({min(rates.ratios):.3f} to {max(rates.ratios):.3f}), the median of {len(rates.one)} '
        'rounds and their range.'
    )


def _number(milliseconds: float | None) -> str:
    if milliseconds is None:
        return '-'
    return f'{milliseconds:.0f}' if milliseconds >= 100 else f'{milliseconds:.2f}'


def _milliseconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Median of a few calls, after one that is not timed."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)
