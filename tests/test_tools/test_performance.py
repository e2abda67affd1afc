import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmcrowd.analysis.benchmarks.gpu import COUNTERS
from mmcrowd.analysis.benchmarks.localizers import make_crowd, make_outputs
from mmcrowd.analysis.benchmarks.performance import LOCALIZERS, counters_table
from mmcrowd.analysis.benchmarks.train_step import make_batch
from mmcrowd.engine.config import read_config
from mmcrowd.registry import TASK_UTILS


@pytest.mark.parametrize('name', COUNTERS)
def test_batches_of_drawn_crowds(name):
    """Every counter that is timed gets images of the wanted size, with people."""
    cfg = read_config(f'mmcrowd::{name}')
    init_default_scope(cfg.default_scope)
    batch, again = (make_batch(cfg, 2, 96) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(batch['inputs'], again['inputs'], strict=True))
    # DenseNet takes images of one size only, to which its pipeline pads.
    size = (224, 224) if name.startswith('iknn/') else (96, 96)
    assert all(image.shape[1:] == size for image in batch['inputs'])
    assert sum(len(sample.gt_instances) for sample in batch['data_samples'])


def test_a_counter_that_does_not_run_says_why():
    init_default_scope('mmcrowd')
    _, _, row, _, *notes = counters_table(['pml_mcnn_shb.py'], 50, 0.01).splitlines()
    assert row.split('|')[3].strip() == '-' and row.endswith('| - | - |')
    assert notes and all('size=50, expected a multiple of' in note for note in notes)
    assert notes[0].startswith('- `pml_mcnn_shb.py`, train, fp32: ValueError')


def test_every_localizer_is_timed():
    names = {
        name
        for name, cls in TASK_UTILS.module_dict.items()
        if cls.__module__.startswith('mmcrowd.models.localizers.')
    }
    assert {cfg['type'] for cfg in LOCALIZERS} == names


@pytest.mark.parametrize('cfg', LOCALIZERS, ids=lambda cfg: cfg['type'])
def test_localizers_find_what_is_drawn(cfg):
    heads, density = make_crowd(30, 64, 2, 0)
    points, _ = TASK_UTILS.build(cfg)(make_outputs(heads, density, 2), 2)
    assert len(points) >= 10
    nearest = np.linalg.norm(points.numpy()[:, None] - heads, axis=2).min(axis=1)
    assert np.median(nearest) < 8


def test_page(load_tool, data_root, tmp_path, capsys):
    out = tmp_path / 'performance.md'
    argv = [str(data_root / 'ShanghaiTech'), '--quick', '--out', str(out)]
    load_tool('benchmarks/performance.py').main(argv)
    page = out.read_text(encoding='utf-8')
    heads = [line for line in page.splitlines() if line.startswith('#')]
    assert heads == [
        '# Performance',
        '## Counters',
        '## Losses',
        '## Localizers',
        '## Metrics',
        '## Two processes',
        '## Loader',
        '## Waiting for data',
    ]
    row = next(line for line in page.splitlines() if line.startswith('| `pml_mcnn_shb`'))
    assert ' | 0.13 M | ' in row and ' - ' not in row
    assert 'in one process of one thread' in page
    for name in ('GeneralizedLoss', 'PMLEntropicLoss', 'UOTLoss'):
        row = next(line for line in page.splitlines() if line.startswith(f'| `{name}`'))
        assert row.count(' | ') == 2 and ' - ' not in row
    for cfg in LOCALIZERS:
        assert f'| {cfg["type"]} | ' in page
    assert '2 steps of ' in page and 'passed before the batch was there' in page
    assert page.count('A worker makes ') == 2
    assert page.split('\n\n')[-1].strip() in capsys.readouterr().out


def test_no_images(load_tool, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no \*\.jpg in .*part_A'):
        load_tool('benchmarks/performance.py').main([str(tmp_path), '--quick'])
