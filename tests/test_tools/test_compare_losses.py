"""What compare_losses.py shows and takes for the same run; test_analysis_tools.py trains."""

import json
import sys

import pytest

from mmcrowd.engine.config import read_config

from .cli import REPO

FOLDER = REPO / 'tools' / 'analysis_tools'
BASES = f"""
_base_ = [
    '{REPO}/configs/_base_/models/mcnn.py',
    '{REPO}/configs/_base_/datasets/shb.py',
    'budget.py',
]
"""


@pytest.fixture
def tool(load_tool, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv('MMCROWD_DATA_ROOT', 'data')
    return load_tool('analysis_tools/compare_losses.py')


@pytest.fixture
def compare(tool, tmp_path, monkeypatch):
    """Function that runs the tool, with trainings that end at once with the errors 1, 2, ...;
    it gives the names of those that ran and the losses in the table."""
    (tmp_path / 'budget.py').write_text('train_cfg = dict(max_epochs=1)\n')
    config = tmp_path / 'a.py'
    config.write_text(BASES)
    done = []

    def run(name, inputs, options, gpus=None):
        folder = tmp_path / 'runs' / inputs[0].stem
        if name == 'train':
            done.append(folder.name)
            log = folder / '1' / 'vis_data' / 'scalars.json'
            log.parent.mkdir(parents=True)
            log.write_text('{"count/MAE": 2.0, "step": 1}')
            (folder / 'best_1.pth').touch()
        else:
            (folder / 'test' / '1').mkdir(parents=True)
            error = float(1 + len(done))
            metrics = {'count/MAE': error, 'count/RMSE': error, 'count/NAE': error}
            (folder / 'test' / '1' / '1.json').write_text(json.dumps(metrics))

    monkeypatch.setattr(tool.trial, 'run', run)

    def compare(*argv, config=config):
        done.clear()
        command = ['compare', str(config), '--work-dir', str(tmp_path / 'runs'), *argv]
        monkeypatch.setattr(sys, 'argv', command)
        tool.main()
        rows = (tmp_path / 'runs' / 'comparison.md').read_text().splitlines()[4:]
        return list(done), [row.split('|')[1].strip() for row in rows]

    return compare


def test_the_table_keeps_the_losses_of_earlier_commands(compare):
    assert compare('--losses', 'pml', 'bl') == (['pml', 'bl'], ['pml', 'bl'])
    assert compare('--losses', 'pml_kl') == (['pml_kl'], ['pml_kl', 'bl', 'pml'])
    assert compare('--losses', 'pml') == ([], ['pml', 'bl', 'pml_kl'])


def test_what_a_run_depends_on_has_changed(compare, tmp_path, monkeypatch):
    compare('--losses', 'pml')

    def is_refused(*argv):
        for losses in (['pml'], ['l2']):  # another loss would be in one table with it
            with pytest.raises(ValueError, match=r'pml\.py is of another comparison: .*a\.py'):
                compare('--losses', *losses, *argv)
        assert not list((tmp_path / 'runs').glob('l2*'))

    is_refused('--amp')
    is_refused('--cfg-options', 'train_cfg.max_epochs=2')
    is_refused('--data-root', 'elsewhere')
    with monkeypatch.context() as patch:
        patch.setenv('MMCROWD_DATA_ROOT', 'elsewhere')
        is_refused()
    (tmp_path / 'budget.py').write_text('train_cfg = dict(max_epochs=2)\n')
    is_refused()
    (tmp_path / 'budget.py').write_text('train_cfg = dict(max_epochs=1)\n\n')  # no other setting
    (tmp_path / 'a.py').write_text(BASES + 'model = dict(head=dict(activation="softplus"))')
    is_refused()
    (tmp_path / 'a.py').write_text('# A comment.\n' + BASES)
    assert compare('--losses', 'pml') == ([], ['pml'])


@pytest.mark.parametrize('name', ['bl_mcnn_shb', 'pml_mcnn_shb'])
def test_config_with_a_loss_of_its_own(compare, tmp_path, name):
    """One that inherits from ``_base_/losses`` too, and a loss of other arguments than its."""
    compare('--losses', 'bl', 'pml_kl', config=REPO / 'configs' / f'{name}.py')
    losses = REPO / 'configs' / '_base_' / 'losses'
    for loss in ('bl', 'pml_kl'):
        cfg = read_config(tmp_path / 'runs' / f'{loss}.py')
        assert cfg.model.loss == read_config(losses / f'{loss}.py').loss
        assert cfg.model.backbone.type == 'MCNN'
