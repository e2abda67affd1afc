import torch

from mmcrowd.analysis.benchmarks import performance
from mmcrowd.analysis.benchmarks.gpu import (
    PML_FORMS,
    Measurement,
    attempt,
    density_losses,
    measure_losses,
)
from tests.testing.losses import LOSSES


def test_what_does_not_run_is_told():
    def prepare():
        raise RuntimeError('no kernel')

    assert attempt('train', 'x', 'fp32', (1, 8), prepare, torch.device('cpu'), 0) == Measurement(
        'train', 'x', 'fp32', 1, 8, None, None, 'RuntimeError: no kernel'
    )


def test_every_density_loss_is_timed():
    others = density_losses()
    tested = {cfg['type'] for cfg in LOSSES.values()}
    assert set(others) == tested - {'PMLLoss'}
    found = list(measure_losses([3], 16, 2, torch.device('cpu'), 0, others))
    assert [m.name for m in found] == [*PML_FORMS, *others]
    assert [m.note for m in found] == [''] * len(found)


def test_table_of_losses(monkeypatch):
    """The ratio is to PML that makes the partition, as the others do."""
    times = {'PML, partition given': 1.0, 'PML': 4.0, 'PML, dense': None, 'BayesianLoss': 10.0}

    def measured(numbers, *_):
        for name in (*PML_FORMS, *density_losses()):
            yield Measurement('loss', name, f'{numbers[0]} points', 1, 8, times.get(name), None)

    monkeypatch.setattr(performance, 'measure_losses', measured)
    lines = performance.losses_table([9], 8, 0).splitlines()
    assert lines[0] == '|  | 9 points, ms | x PML |'
    assert lines[2:6] == [
        '| PML, partition given | 1.00 | 0.25 |',
        '| PML | 4.00 | 1.00 |',
        '| PML, dense | - | - |',
        '| `BayesianLoss` | 10.00 | 2.50 |',
    ]
