"""Functions in several gloo processes, and losses of small counters for them."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcrowd.models import BaseCounter
from mmcrowd.registry import MODELS
from mmcrowd.structures import CrowdDataSample

from .losses import LOSSES
from .networks import TRANSFORMERS, make_sample

SIZE = 256  # pixels; a multiple of what every head asks for
# Few people close to each other, and more of them far apart.
POINTS = [
    [(20, 30), (27, 31), (22, 40)],
    [(17 * i % 250, 45 * i % 240) for i in range(1, 12)],
]


def in_processes(
    function: Callable[..., Any], folder: Path, *args: Any, number: int = 2
) -> list[Any]:
    """What a function returns in each of several gloo processes.

    The processes are forks, which takes no time. Each has one thread.

    Args:
        function: Called with ``args``; returns what torch can save.
        folder: Empty, for the files of the processes.
        args: Its arguments.
        number: Of processes. Defaults to 2.
    """
    context = multiprocessing.get_context('fork')
    processes = [
        context.Process(target=_run, args=(rank, number, folder, function, args))
        for rank in range(number)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(timeout=600)
        assert [process.exitcode for process in processes] == [0] * number
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f'{rank}.pth', weights_only=False) for rank in range(number)]


def _run(rank: int, number: int, folder: Path, function: Callable, args: tuple) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(number))
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=number
    )
    torch.save(function(*args), folder / f'{rank}.pth')
    torch.distributed.destroy_process_group()


# ------------------------------------------------------------------------------------- gradients


class Levels(nn.Module):
    """Backbone: a layer on the means of the image over squares, for each of several strides."""

    def __init__(self, strides: tuple[int, ...], channels: int = 8):
        super().__init__()
        self.strides = strides
        self.layers = nn.ModuleList(nn.Conv2d(3, channels, 3, padding=1) for _ in strides)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        pairs = zip(self.layers, self.strides, strict=True)
        return tuple(layer(F.avg_pool2d(inputs, stride)).tanh() for layer, stride in pairs)


class MapAndCounts(nn.Module):
    """Head: a probability, and counts from it."""

    out_stride = 1

    def forward(self, features: tuple[Tensor]) -> dict[str, Tensor]:
        probability = features[0].mean(1, keepdim=True).square()
        return dict(probability=probability, count=F.avg_pool2d(probability, 8) * 40)


class Columns(nn.Module):
    """Head: a density for each of three maps, and which of them counts the image."""

    out_stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.switch = nn.Linear(8, 3)

    def forward(self, features: tuple[Tensor, ...]) -> dict:
        densities = [(map_ + k).square().mean(1, keepdim=True) for k, map_ in enumerate(features)]
        return dict(densities=densities, logits=self.switch(features[0].mean((2, 3))))


def _switch(loss: str, epoch: int = 0) -> dict:
    head = dict(type=Columns)
    return _system('DensityCounter', head, dict(type=loss), (4, 4, 4)) | dict(epoch=epoch)


def _density(loss: dict) -> dict:
    head = dict(type='DensityHead', in_channels=8, mid_channels=(), activation='softplus')
    model = dict(
        type='DensityCounter',
        backbone=dict(type=Levels, strides=(8,)),
        head=dict(head, in_stride=8, out_stride=4),
        loss=loss,
    )
    return dict(model=model, size=64)


def _system(
    counter: str, head: dict, loss: dict, strides: tuple[int, ...] = (8,), **kwargs
) -> dict:
    model = dict(
        type=counter, backbone=dict(type=Levels, strides=strides), head=head, loss=loss, **kwargs
    )
    return dict(model=model, size=64)


_P2P = dict(type='PointHead', in_channels=8, mid_channels=(8, 8))
_EBC = dict(type='EBCHead', bin_centres=[0, 1, 2.5], in_channels=8, mid_channels=(8,))
_ZIP = dict(type='ZIPHead', bin_centres=[1, 2, 3.5], in_channels=8, out_stride=8)
_MAP = dict(in_channels=8, mid_channels=[4])
_REGIONS = dict(type='RegionAttentionEncoder', channels=8, num_layers=1, feedforward_channels=8)
_DETR = dict(TRANSFORMERS['cltr']['neck'], in_channels=8, dropout=0.0)
_CLTR = dict(TRANSFORMERS['cltr']['head'], dropout=0.0)
_PET = _system(
    'PointCounter',
    TRANSFORMERS['pet']['head'],
    dict(type='PETLoss'),
    (4, 8),
    neck=dict(type='FeaturePyramid', in_channels=[8, 8], out_channels=16),
)


def _mask(mask: Tensor) -> dict[str, Tensor]:
    return dict(mask=mask)


# Every loss, some of them in several forms; ``epoch`` is one in which the form is used.
CASES: dict[str, dict] = {name: _density(loss) for name, loss in LOSSES.items()} | {
    'top_bayesian': _density(dict(type='TopBayesianLoss')),
    'published_fidtm': _density(
        dict(type='FIDTMLoss', reduction='sum', ssim_weight=0, to_pixels=True)
    ),
    'fidtm_map': _system(
        'DensityCounter',
        dict(type='MapHead', **_MAP),
        dict(type='FIDTMLoss', source='map'),
        strides=(4,),
    ),
    'p2pnet': _system('PointCounter', _P2P, dict(type='P2PLoss')),
    'p2pnet_by_batch': _system('PointCounter', _P2P, dict(type='P2PLoss', reduction='batch')),
    'ebc': _system('DensityCounter', _EBC, dict(type='EBCLoss', bins=[0, 1, 2], mae_weight=1.0)),
    'zip': _system('DensityCounter', _ZIP, dict(type='ZIPLoss', bins=[0, 1, 2, 3], ot_weight=0.1)),
    'published_ebc': _system(
        'DensityCounter', _EBC, dict(type='EBCLoss', bins=[0, 1, 2], one_per_pixel=True)
    ),
    'published_zip': _system(
        'DensityCounter', _ZIP, dict(type='ZIPLoss', bins=[0, 1, 2, 3], one_per_pixel=True)
    ),
    'iim': _system('DensityCounter', dict(type='IIMHead', **_MAP), dict(type='IIMLoss'), (4,)),
    'raz': _system(
        'DensityCounter',
        dict(type='RAZHead', in_channels=8, mid_channels=(8, 4)),
        dict(type='DotCrossEntropyLoss'),
    ),
    'topocount': _system(
        'DensityCounter',
        dict(type='LogitHead', in_channels=8),
        # With its topology at once; patches of at most 20 pixels are not laid at random.
        dict(type='TopoCountLoss', patch_size=20, start_epoch=0),
        strides=(1,),
    ),
    'lsc_cnn': _system(
        'DensityCounter',
        dict(type='LSCHead', in_channels=(8, 8, 8), mid_channels=(4,)),
        dict(type='GridWTALoss', class_weights=[[2.0, 3.0, 4.0, 1.0]] * 3),
        strides=(2, 4, 8),
    )
    | dict(maps=lambda mask: dict(box_kind=(9 * mask[:, ::2, ::2]).byte())),
    'd2cnet': _system('DensityCounter', dict(type=MapAndCounts), dict(type='D2CLoss'), (1,))
    | dict(maps=lambda mask: dict(probability=mask, density=mask / 50)),
    'iknn': _system(
        'DensityCounter',
        dict(type='IKNNHead', in_channels=(8, 8), strides=(8, 64), patch_size=64),
        dict(type='IKNNLoss'),
        strides=(8, 64),
    )
    | dict(maps=lambda mask: dict(iknn=mask)),
    'target_map': _system(
        'DensityCounter',
        dict(type='MapHead', **_MAP),
        dict(type='TargetMapLoss', target='mask'),
        strides=(4,),
    ),
    'switch_pretrain': _switch('SwitchPretrainLoss'),
    'switch_differential': _switch('SwitchDifferentialLoss'),
    'switch': _switch('SwitchCoupledLoss'),
    'switched': _switch('SwitchCoupledLoss', epoch=1),
    'man': _system(
        'DensityCounter',
        dict(type='DensityHead', in_channels=8, mid_channels=(), out_stride=8),
        dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss')),
        neck=dict(_REGIONS, dropout=0.0),
    ),
    'man_generalized': _system(
        'DensityCounter',
        dict(type='DensityHead', in_channels=8, mid_channels=(), out_stride=8),
        dict(type='LocalAttentionLoss', loss=dict(type='GeneralizedLoss')),
        neck=dict(_REGIONS, dropout=0.0),
    ),
    'steerer': _system(
        'DensityCounter',
        dict(type='STEERERHead', in_channels=(8, 8), channels=8, mid_channels=(8, 8, 8)),
        dict(type='MSILoss', weights=(1.0, 0.5), patch=32),
        strides=(4, 8),
    ),
    'cltr': _system(
        'PointCounter',
        _CLTR,
        dict(type='CLTRLoss'),
        (32,),
        neck=_DETR,
        localizer=dict(type='SigmoidThreshold'),
    ),
    'pet_warm_up': dict(_PET, size=SIZE),
    'pet': dict(_PET, size=SIZE, epoch=5),
}


def build_counter(name: str) -> BaseCounter:
    """The counter of a case, float64; its normalisation is a constant."""
    torch.manual_seed(0)
    init_default_scope('mmcrowd')
    counter = MODELS.build(CASES[name]['model'])
    for module in counter.train().modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    return counter.double()


def batch_of(name: str, images: list[int]) -> tuple[Tensor, list[CrowdDataSample]]:
    """Inputs and samples of a case, of the images of these places in the batch."""
    size, epoch = CASES[name]['size'], CASES[name].get('epoch', 0)
    MessageHub.get_current_instance().update_info('epoch', epoch)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(len(POINTS), 3, size, size, generator=generator, dtype=torch.float64)
    samples = [make_sample(torch.tensor(POINTS[i]) * size / SIZE, (size, size)) for i in images]
    for i, sample in zip(images, samples, strict=True):
        mask = (inputs[i, :1] > 0.9 - i / 2).float()
        sample.gt_maps = PixelData(**CASES[name].get('maps', _mask)(mask))
    return inputs[images], samples


def gradient_of(name: str, images: list[int], parallel: bool = False) -> dict[str, Tensor]:
    """Gradient of the loss of some images of the batch, by the name of the parameter.

    Args:
        name: Of a case.
        images: Their places in the batch.
        parallel: Whether it is the mean over processes. Defaults to False.
    """
    model = counter = build_counter(name)
    if parallel:
        # A column that no image of a process is learnt by has no gradient there.
        model = MMDistributedDataParallel(
            counter, device_ids=None, broadcast_buffers=False, find_unused_parameters=True
        )
    losses = model(*batch_of(name, images), mode='loss')
    sum(losses.values()).backward()
    return {name: p.grad for name, p in counter.named_parameters() if p.grad is not None}


def gradient_of_own_image(name: str) -> dict[str, Tensor]:
    """Mean over the processes, each of which has the image of its rank."""
    return gradient_of(name, [torch.distributed.get_rank()], parallel=True)


def is_finite_after_overflow(name: str) -> bool:
    """Whether the loss is, where the numbers of the network overflow in the last process only."""
    counter = build_counter(name)
    rank = torch.distributed.get_rank()
    inputs, samples = batch_of(name, [rank])
    outputs = counter(inputs, samples)
    if rank == torch.distributed.get_world_size() - 1:
        for part in (outputs, outputs.get('sparse', {})):
            if 'logits' in part:
                part['logits'] = part['logits'] * torch.inf
    with torch.autocast('cpu', torch.bfloat16):
        terms = counter.loss_module.loss(outputs, samples, counter.stride)
    return bool(sum(terms.values()).isfinite())
