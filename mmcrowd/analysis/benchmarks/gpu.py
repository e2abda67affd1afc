"""What a GPU needs for losses, training steps and inference: milliseconds and memory.

Everything runs on a CPU too, where memory is not measured and float16 is left out. A measurement is
one :class:`Measurement`; what does not run is one with a note in place of numbers.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from rich.table import Table
from torch import Tensor

from mmcrowd.engine.config import without_pretraining
from mmcrowd.models.counters.base_counter import BaseCounter
from mmcrowd.models.losses.density_loss import DensityLoss
from mmcrowd.models.losses.reference import dense_pml
from mmcrowd.ops.partition import Partition, partition_batch
from mmcrowd.registry import MODELS

from .train_step import make_batch

# Configs of one counter of each kind.
COUNTERS = (
    'pml_vgg16_shb.py',
    'pml_hrnet_shb.py',
    'pml_vgg19_shb.py',
    'pml_vgg16bn_shb.py',
    'pml_csrnet_shb.py',
    'pml_mcnn_shb.py',
    'pml_hrnet_w18_shb.py',
    'pml_efficientnet_lite0_default.py',
    'bl/bl_vgg19_official_shb.py',
    'sfcn/sfcn_resnet101_shb.py',
    'man/man_vgg19_sha.py',
    'steerer/steerer_hrnet_w48_shb.py',
    'ebc/ebc_vgg19_shb.py',
    'zip/zip_n_shb.py',
    'zip/zip_p_shb.py',
    'p2pnet/p2pnet_vgg16bn_sha.py',
    'pet/pet_vgg16bn_sha.py',
    'cltr/cltr_r50_sha.py',
    'fidtm/fidtm_hrnet_w48_shb.py',
    'iim/iim_hrnet_w48_sha.py',
    'raz/raz_vgg16_nwpu.py',
    'topocount/topocount_vgg16_shb.py',
    'lsc_cnn/lsc_cnn_vgg16_shb.py',
    'd2cnet/d2cnet_vgg16_shb.py',
    'iknn/iknn_densenet201_sha.py',
    'switch_cnn/switch_cnn_sha_coupled.py',
)
# GL takes this many times as long as PML on an RTX 3090 Ti (Lin, Wan and Chan, ICLR 2025).
PUBLISHED_RATIO = 3.46
# Forms of PML, and what is timed beside them: configs of losses by their names in the result.
PML_FORMS = ('PML, partition given', 'PML', 'PML, dense')
OTHER_LOSSES = {
    'DM-Count': dict(type='mmcrowd.DMCountLoss'),
    'GL': dict(type='mmcrowd.GeneralizedLoss'),
}
# What a density loss lacks a default for.
LOSS_ARGUMENTS = dict(PMLEntropicLoss=dict(tau=1.0))
# The ways a counter runs: float32; the same with channels-last memory; bfloat16 by the counter's
# own precision='bf16', which has channels-last memory too; float16 by autocast, in training with a
# loss scale; and bfloat16 compiled.
VARIANTS = ('fp32', 'channels_last', 'bf16', 'fp16', 'compiled')
WARM_UP = 3  # calls before the first that is timed


class Measurement(NamedTuple):
    """One line of the result.

    Attributes:
        kind: ``'loss'``, ``'train'`` or ``'inference'``.
        name: Of the loss or the counter.
        variant: Number of points of a loss, or one of ``VARIANTS``.
        batch_size: Images at a time.
        size: Side of the map in cells for a loss, of the image in pixels otherwise.
        milliseconds: Median of a call; None if it did not run.
        mebibytes: Peak of the memory that a call holds beyond what was held before it was prepared,
            so with parameters, gradients and optimizer; None on a CPU.
        note: Why there are no numbers. Defaults to ''.
    """

    kind: str
    name: str
    variant: str
    batch_size: int
    size: int
    milliseconds: float | None
    mebibytes: float | None
    note: str = ''


def describe_device(device: torch.device) -> dict[str, str | bool]:
    """Name of the device, and what else the numbers depend on."""
    facts: dict[str, str | bool] = dict(device=str(device), torch=torch.__version__)
    if device.type == 'cuda':
        facts['name'] = torch.cuda.get_device_name(device)
        facts['cuda'] = str(torch.version.cuda)
        facts['cudnn'] = str(torch.backends.cudnn.version())
        facts['tf32_convolutions'] = torch.backends.cudnn.allow_tf32
    else:
        facts['name'] = torch.backends.cpu.get_cpu_capability()
    return facts


def measure(
    prepare: Callable[[], Callable[[], object]], device: torch.device, seconds: float
) -> tuple[float, float | None]:
    """Time a call and find its memory.

    Args:
        prepare: Makes the call, with all that it needs.
        device: Where it runs.
        seconds: How long to repeat it; at least three times.

    Returns:
        Median milliseconds of a call, and MiB as in :class:`Measurement`.
    """
    on_gpu = device.type == 'cuda'
    before = 0
    if on_gpu:
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(device)
    call = prepare()
    for k in range(WARM_UP):
        if on_gpu and k == WARM_UP - 1:  # cuDNN has tried its algorithms by then
            torch.cuda.reset_peak_memory_stats(device)
        call()
    mebibytes = None
    if on_gpu:
        torch.cuda.synchronize(device)
        mebibytes = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        if on_gpu:
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times), mebibytes


def attempt(
    kind: str,
    name: str,
    variant: str,
    sizes: tuple[int, int],
    prepare: Callable[[], Callable[[], object]],
    device: torch.device,
    seconds: float,
) -> Measurement:
    """Measure, or say why that was not possible.

    Args:
        kind: See :class:`Measurement`, as name and variant.
        name: See there.
        variant: See there.
        sizes: Batch size and side.
        prepare: See :func:`measure`, as device and seconds.
        device: See there.
        seconds: See there.
    """
    head = kind, name, variant, *sizes
    try:
        return Measurement(*head, *measure(prepare, device, seconds))
    except torch.cuda.OutOfMemoryError:
        return Measurement(*head, None, None, 'out of memory')
    except Exception as error:  # one that fails must not cost the others their time on the device
        return Measurement(*head, None, None, f'{type(error).__name__}: {error}'[:300])


# ---------------------------------------------------------------------------------------- losses


def density_losses() -> dict[str, dict]:
    """Every loss that takes a density and points but PMLLoss, which has forms of its own.

    Returns:
        Configs with the defaults, by the names of the classes in alphabetical order.
    """
    classes = {
        cls.__name__
        for cls in MODELS.module_dict.values()
        # Not what a user has registered.
        if issubclass(cls, DensityLoss) and cls.__module__.startswith('mmcrowd.')
    }
    return {
        name: dict(type=f'mmcrowd.{name}', **LOSS_ARGUMENTS.get(name, {}))
        for name in sorted(classes - {'PMLLoss'})
    }


def measure_losses(
    numbers: Sequence[int],
    size: int,
    stride: int,
    device: torch.device,
    seconds: float,
    others: Mapping[str, dict] = OTHER_LOSSES,
) -> Iterator[Measurement]:
    """Forward and backward of PML, its dense form and other losses on one random image.

    Args:
        numbers: Of points, one image each.
        size: Side of the map in cells.
        stride: Input pixels per cell.
        device: Where to.
        seconds: For each form.
        others: Configs of further losses by their names in the result. A partition that they need
            is made inside. Defaults to DM-Count and GL.

    Yields:
        ``'PML, partition given'``, ``'PML'``, ``'PML, dense'`` and the others, for each number of
        points.
    """
    for number in numbers:
        for name in (*PML_FORMS, *others):
            cfg = others.get(name)
            prepare = partial(_prepare_loss, name, cfg, number, size, stride, device)
            yield attempt('loss', name, f'{number} points', (1, size), prepare, device, seconds)


def _prepare_loss(
    name: str, cfg: dict | None, number: int, size: int, stride: int, device: torch.device
) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(number, 2, generator=generator) * size * stride
    density = torch.rand(1, 1, size, size, generator=generator)
    density *= number / density.sum()
    points, density = points.to(device), density.to(device).requires_grad_()
    partition: Partition | None = None
    loss: Callable[..., dict[str, Tensor]] = _dense
    if name != 'PML, dense':
        loss = MODELS.build(cfg or dict(type='mmcrowd.PMLLoss')).to(device)
    if name == 'PML, partition given':
        partition = partition_batch([points], (size, size), stride)

    def call() -> None:
        density.grad = None
        terms = loss(density, [points], stride, partition)
        torch.stack(list(terms.values())).sum().backward()

    return call


def _dense(density: Tensor, points: list[Tensor], stride: int, partition: None) -> dict:
    return dict(loss=dense_pml(density[0, 0], points[0], stride))


# -------------------------------------------------------------------------------------- counters


def measure_counter(
    name: str,
    cfg: Config,
    variants: Sequence[str],
    sizes: tuple[int, int],
    device: torch.device,
    seconds: float,
) -> Iterator[Measurement]:
    """Training step and inference of a counter.

    A step is forward, loss, backward and optimizer on images and points that are on the device
    already, with the partition that the loader would make. Inference is the network alone.

    Args:
        name: In the result.
        cfg: Config with ``model`` and ``optim_wrapper``. Its pretrained weights are left away.
        variants: Some of ``VARIANTS``.
        sizes: Batch size and side of the images in pixels.
        device: Where to.
        seconds: For each measurement.

    Yields:
        Both kinds for each variant.
    """
    for variant in variants:
        for kind, prepare in (('train', _prepare_step), ('inference', _prepare_inference)):
            if variant == 'fp16' and device.type != 'cuda':
                yield Measurement(kind, name, variant, *sizes, None, None, 'of CUDA only')
                continue
            prepared = partial(prepare, cfg, variant, sizes, device)
            yield attempt(kind, name, variant, sizes, prepared, device, seconds)


def build_counter(cfg: Config, variant: str, device: torch.device) -> BaseCounter:
    """Build the counter of a config in one of ``VARIANTS``, without pretrained weights."""
    precision = 'bf16' if variant in ('bf16', 'compiled') else 'fp32'
    model = MODELS.build(dict(without_pretraining(cfg.model), precision=precision)).to(device)
    if variant == 'channels_last':
        model.to(memory_format=torch.channels_last)
    return model


def _device_batch(cfg: Config, sizes: tuple[int, int], device: torch.device) -> dict:
    batch = make_batch(cfg, *sizes)
    return dict(
        inputs=[image.to(device) for image in batch['inputs']],
        data_samples=[sample.to(device) for sample in batch['data_samples']],
    )


def _prepare_step(
    cfg: Config, variant: str, sizes: tuple[int, int], device: torch.device
) -> Callable[[], object]:
    model = build_counter(cfg, variant, device).train()
    batch = _device_batch(cfg, sizes, device)
    wrapper = dict(cfg.optim_wrapper)
    if variant == 'fp16':
        wrapper.update(type='AmpOptimWrapper', dtype='float16')
    optim_wrapper = build_optim_wrapper(model, wrapper)
    if variant == 'compiled':
        model.loss = torch.compile(model.loss)
    return lambda: model.train_step(dict(batch), optim_wrapper)


def _prepare_inference(
    cfg: Config, variant: str, sizes: tuple[int, int], device: torch.device
) -> Callable[[], object]:
    model = build_counter(cfg, variant, device).eval()
    inputs = model.data_preprocessor(_device_batch(cfg, sizes, device))['inputs']
    network = torch.compile(model) if variant == 'compiled' else model

    def call() -> object:
        half = torch.autocast(device.type, torch.float16) if variant == 'fp16' else nullcontext()
        with torch.no_grad(), half:
            return network(inputs)

    return call


# ---------------------------------------------------------------------------------------- result


def tabulate(measurements: Sequence[Measurement]) -> Table:
    """The measurements as a table for the terminal."""
    table = Table()
    for column in ('kind', 'name', 'variant', 'batch', 'size'):
        table.add_column(column)
    for column in ('ms', 'images/s', 'MiB'):
        table.add_column(column, justify='right')
    for m in measurements:
        numbers = [m.note, '', '']
        if m.milliseconds is not None:
            memory = '' if m.mebibytes is None else f'{m.mebibytes:.1f}'
            numbers = [
                f'{m.milliseconds:.2f}',
                f'{1e3 * m.batch_size / m.milliseconds:.1f}',
                memory,
            ]
        table.add_row(m.kind, m.name, m.variant, str(m.batch_size), str(m.size), *numbers)
    return table


def loss_ratios(measurements: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """How many times as long as PML, its partition computed inside, each other loss takes.

    Args:
        measurements: Those of :func:`measure_losses`, among others.

    Returns:
        By number of points and name.

    Examples:
        >>> times = dict(PML=2.0, GL=7.0)
        >>> lines = [Measurement('loss', k, '9 points', 1, 8, v, None) for k, v in times.items()]
        >>> loss_ratios(lines)
        {'9 points': {'GL': 3.5}}
    """
    times: dict[str, dict[str, float]] = {}
    for m in measurements:
        if m.kind == 'loss' and m.milliseconds is not None:
            times.setdefault(m.variant, {})[m.name] = m.milliseconds
    return {
        points: {name: value / of['PML'] for name, value in of.items() if name != 'PML'}
        for points, of in times.items()
        if 'PML' in of
    }
