"""What compare_losses.py shows and takes for the same run; test_analysis_tools.py trains."""

import json
import shutil
import sys

import pytest

from mmcrowd.analysis import loss_comparison
from mmcrowd.analysis.loss_comparison import LossRun, draw_comparison
from mmcrowd.engine import experiments
from mmcrowd.engine.config import read_config
from mmcrowd.engine.experiments import METRICS, RunOptions

from .cli import REPO

BASES = f"""
_base_ = [
    '{REPO}/configs/_base_/models/mcnn.py',
    '{REPO}/configs/_base_/datasets/shb.py',
    'budget.py',
]
"""


@pytest.fixture
def tool(load_tool, monkeypatch):
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
        read_config(inputs[0], RunOptions(cfg_options=cfg_options_of(options)).values())
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

    monkeypatch.setattr(experiments, 'run_tool', run)

    def compare(*argv, config=config):
        done.clear()
        command = ['compare', str(config), '--work-dir', str(tmp_path / 'runs'), *argv]
        monkeypatch.setattr(sys, 'argv', command)
        tool.main()
        rows = (tmp_path / 'runs' / 'comparison.md').read_text().splitlines()[4:]
        columns = 2 if '--vary' in argv else 1
        cells = ['@'.join(c.strip() for c in row.split('|')[1 : 1 + columns]) for row in rows]
        return list(done), cells

    return compare


def cfg_options_of(arguments):
    """Those among the arguments of train.py and test.py, where they stand last."""
    return arguments[arguments.index('--cfg-options') + 1 :] if '--cfg-options' in arguments else []


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


LR = 'optim_wrapper.optimizer.lr'
DECAY = 'optim_wrapper.optimizer.weight_decay'


def test_each_loss_with_each_value_of_a_key(compare, tmp_path, monkeypatch):
    figures = []
    draw = loss_comparison.Figure.savefig
    monkeypatch.setattr(
        loss_comparison.Figure,
        'savefig',
        lambda f, *args, **kw: (figures.append(f), draw(f, *args, **kw)),
    )
    first = compare('--losses', 'pml', 'bl', '--vary', f'{DECAY}=0.5')
    assert first == (['pml@0.5', 'bl@0.5'], ['pml@0.5', 'bl@0.5'])
    second = compare('--losses', 'pml', '--vary', f'{DECAY}=2,0.5,1e-1')
    assert second == (['pml@2', 'pml@1e-1'], ['pml@1e-1', 'pml@0.5', 'pml@2', 'bl@0.5'])
    for name, value in (('pml@1e-1', 0.1), ('pml@2', 2), ('bl@0.5', 0.5)):
        cfg = read_config(tmp_path / 'runs' / f'{name}.py')
        assert cfg.optim_wrapper.optimizer.weight_decay == value
        assert cfg.model.loss.type == ('PMLLoss' if name.startswith('pml') else 'BayesianLoss')
    table = (tmp_path / 'runs' / 'comparison.md').read_text()
    assert f'one run per loss and value of `{DECAY}`' in table and '| weight_decay | MAE |' in table
    # The errors are 2, 3 in the order of the runs of a call; the best of each value is bold.
    assert [row.split('|')[3].strip() for row in table.splitlines()[4:]] == [
        '**3.00**',
        '**2.00**',
        '**2.00**',
        '3.00',
    ]
    left, right = figures[-1].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in left.get_lines()}
    assert lines == {
        'pml: MAE': [[0.1, 3], [0.5, 2], [2, 2]],
        'pml: RMSE': [[0.1, 3], [0.5, 2], [2, 2]],
        'bl: MAE': [[0.5, 3]],
        'bl: RMSE': [[0.5, 3]],
    }
    assert left.get_xlabel() == 'weight_decay'
    curves = {line.get_label(): line for line in right.get_lines()}
    assert list(curves) == [
        'pml, weight_decay 1e-1',
        'pml, weight_decay 0.5',
        'pml, weight_decay 2',
        'bl, weight_decay 0.5',
    ]
    one, two, _, other = curves.values()
    assert one.get_color() == two.get_color() != other.get_color()
    assert one.get_linestyle() != two.get_linestyle() == other.get_linestyle()


def test_commands_share_a_work_dir_side_by_side(compare, tmp_path, monkeypatch):
    vary = ('--vary', f'{DECAY}=1')
    compare('--losses', 'pml', *vary)
    train = experiments.run_tool

    def meanwhile(name, inputs, options, gpus=None):
        """Another command does its run while this one is training."""
        runs = tmp_path / 'runs'
        if not (runs / 'bl@1.py').exists():
            shutil.copy(runs / 'pml@1.py', runs / 'bl@1.py')
            shutil.copytree(runs / 'pml@1', runs / 'bl@1')
        train(name, inputs, options, gpus)

    monkeypatch.setattr(experiments, 'run_tool', meanwhile)
    assert compare('--losses', 'pml_l2', *vary) == (['pml_l2@1'], ['pml_l2@1', 'bl@1', 'pml@1'])


def test_values_that_are_no_numbers(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(loss_comparison.Figure, 'savefig', lambda f, *_, **__: figures.append(f))
    results = {LossRun('pml', name): dict.fromkeys(METRICS, 1.0) for name in ('SGD', 'Adam')}
    for run in results:
        log = tmp_path / run.name / '1' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text('{"count/MAE": 2.0, "step": 1}')
    draw_comparison(results, tmp_path, tmp_path / 'a.png', 'optimizer.type')
    left = figures[0].axes[0]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ['SGD', 'Adam']
    assert left.get_lines()[0].get_xdata().tolist() == [0, 1]


@pytest.mark.parametrize(
    'given, message',
    [
        ('weight_decay', 'expected KEY=VALUE,VALUE'),
        (f'{DECAY}=1,', 'expected KEY=VALUE,VALUE'),
        ('work_dir=a/b', 'without /'),
        ('nowhere=1', 'nowhere changes nothing'),
    ],
)
def test_what_cannot_be_varied(compare, tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        compare('--losses', 'pml', '--vary', given)
    assert not (tmp_path / 'runs').exists()


def test_what_is_varied_has_changed(compare):
    compare('--losses', 'pml', '--vary', f'{DECAY}=1')
    for vary in ([], ['--vary', f'{LR}=1']):
        with pytest.raises(ValueError, match='is of another comparison'):
            compare('--losses', 'pml', *vary)


@pytest.mark.parametrize('name', ['bl/bl_mcnn_shb', 'pml_mcnn_shb'])
def test_config_with_a_loss_of_its_own(compare, tmp_path, name):
    """One that inherits from ``_base_/losses`` too, and a loss of other arguments than its."""
    compare('--losses', 'bl', 'pml_kl', config=REPO / 'configs' / f'{name}.py')
    losses = REPO / 'configs' / '_base_' / 'losses'
    for loss in ('bl', 'pml_kl'):
        cfg = read_config(tmp_path / 'runs' / f'{loss}.py')
        assert cfg.model.loss == read_config(losses / f'{loss}.py').loss
        assert cfg.model.backbone.type == 'MCNN'
