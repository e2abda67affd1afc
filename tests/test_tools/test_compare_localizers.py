"""The command line that compares localizers on one checkpoint."""

import sys

import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from mmcrowd.engine.config import read_config
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.registry import MODELS

from .cli import REPO

CANDIDATES = """candidates = [
    dict(type='LocalMaximum', grid=dict(threshold=[1e-4, 1e9])),
    dict(
        type='BlockMaximum', source='density', levels=[0], blocks=[8], distances=[], threshold=1e-3
    ),
]
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Arguments of a tiny counter of drawn crowds, with random weights, and three candidates."""
    config = tmp_path / 'tiny.py'
    config.write_text(
        f'_base_ = {str(REPO / "configs" / "pml_resnet18_synthetic.py")!r}\n'
        'tiny = dict(num_images=2, img_size=(96, 70))\n'
        'val_dataloader = dict(dataset=tiny)\n'
        'test_dataloader = dict(dataset=tiny)\n'
    )
    (tmp_path / 'candidates.py').write_text(CANDIDATES)
    cfg = read_config(config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    save_checkpoint(MODELS.build(cfg.model).state_dict(), {}, tmp_path / 'tiny.pth')
    argv = ['compare', str(config), str(tmp_path / 'tiny.pth'), '--out-dir', str(tmp_path / 'out')]
    argv += ['--candidates', str(tmp_path / 'candidates.py')]
    monkeypatch.setattr(sys, 'argv', argv)
    return argv


def rows(table):
    return [[cell.strip() for cell in line.strip('| ').split('|')] for line in table.splitlines()]


def test_tables_and_picture(load_tool, tmp_path, command, capsys):
    command += ['--radii', '4', '8', '16', '--radius', '8', '16']
    load_tool('analysis_tools/compare_localizers.py').main()
    title, tested, _, tried = (tmp_path / 'out' / 'localizers.md').read_text().split('\n\n')
    assert title in (out := capsys.readouterr().out) and tested in out
    head, _, *best = rows(tested)
    assert head == [
        'localizer',
        'chosen by',
        *(f'{name}@{radius}' for radius in (4, 8, 16) for name in ('P', 'R', 'F1')),
        'ms',
    ]
    # What finds nobody is not chosen; what is the best at both radii is there once.
    assert {row[0].split('(')[0] for row in best} == {'`LocalMaximum', '`BlockMaximum'}
    assert [row[1] for row in best] == ['F1@8, F1@16'] * 2
    assert any('threshold=0.0001' in row[0] for row in best)
    assert len(rows(tried)) == 2 + 3 and 'chosen by' not in rows(tried)[0]
    values = [float(row[9]) for row in rows(tried)[2:]]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] == 0
    assert min(Image.open(tmp_path / 'out' / 'localizers.png').size) > 70


def test_a_radius_that_is_not_scored(load_tool, command, capsys):
    command += ['--radius', '8', '5']
    with pytest.raises(SystemExit):
        load_tool('analysis_tools/compare_localizers.py').main()
    assert '--radius 5 is none of --radii' in capsys.readouterr().err
