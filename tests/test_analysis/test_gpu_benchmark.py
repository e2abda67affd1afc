"""The GPU benchmark, on the CPU: what it runs and what it reports."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcrowd.analysis.benchmarks.gpu import Measurement, attempt, measure_counter, measure_losses
from mmcrowd.registry import MODELS

from ..testing.networks import BACKBONES

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def crowd_scope():
    init_default_scope('mmcrowd')


def test_losses():
    pytest.importorskip('geomloss')
    measured = list(measure_losses([3], size=8, stride=2, device=CPU, seconds=0))
    assert [m.name for m in measured] == [
        'PML, partition given',
        'PML',
        'PML, dense',
        'DM-Count',
        'GL',
    ]
    for m in measured:
        assert (m.kind, m.variant, m.batch_size, m.size, m.note) == ('loss', '3 points', 1, 8, '')
        assert m.milliseconds > 0 and m.mebibytes is None


def test_counter():
    model = dict(type='DensityCounter', loss=dict(type='PMLLoss'), **BACKBONES['mcnn'])
    assert MODELS.build(model).stride == 4
    cfg = Config(dict(model=model, optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-9))))
    variants = ('fp32', 'channels_last', 'bf16', 'fp16')
    measured = list(measure_counter('mcnn', cfg, variants, (2, 32), CPU, seconds=0))
    assert [(m.variant, m.kind) for m in measured] == [
        (variant, kind) for variant in variants for kind in ('train', 'inference')
    ]
    for m in measured:
        assert (m.note == 'of CUDA only') == (m.variant == 'fp16') == (m.milliseconds is None)


def test_what_does_not_run_is_told():
    def prepare():
        raise RuntimeError('no kernel')

    assert attempt('train', 'x', 'fp32', (1, 8), prepare, CPU, 0) == Measurement(
        'train', 'x', 'fp32', 1, 8, None, None, 'RuntimeError: no kernel'
    )
