"""What compare_configs.py takes for the same budget, and its table."""

import json

import pytest

from mmcrowd.analysis.config_comparison import compare_configs
from mmcrowd.engine import experiments
from mmcrowd.engine.experiments import RunOptions

from .cli import REPO

SMALL = [
    REPO / 'configs' / system / f'{system}_lite0_shb_cpu{end}.py'
    for system in ('sfcn', 'ebc', 'man', 'steerer', 'p2pnet')
    for end in ('', '_pml')
]


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Function that compares configs, with trainings that end at once with the errors 1, 2, ...;
    it gives the names of those that ran and the cells of the table."""
    monkeypatch.setenv('MMCROWD_DATA_ROOT', 'data')
    done = []

    def run(name, inputs, options, gpus=None):
        folder = tmp_path / inputs[0].stem
        folder.mkdir(exist_ok=True)
        if name == 'train':
            done.append(folder.name)
            (folder / 'best_1.pth').touch()
        else:
            (folder / 'test' / '1').mkdir(parents=True)
            metrics = dict.fromkeys(experiments.METRICS, float(len(done)))
            (folder / 'test' / '1' / '1.json').write_text(json.dumps(metrics))

    monkeypatch.setattr(experiments, 'run_tool', run)

    def compare(configs, *options):
        before = len(done)
        table = compare_configs(configs, tmp_path, RunOptions(cfg_options=options))
        assert (tmp_path / 'comparison.md').read_text() == table
        rows = [[cell.strip() for cell in row.split('|')[1:-1]] for row in table.splitlines()[4:]]
        return done[before:], rows

    return compare


def test_the_small_counters_have_one_budget(compare):
    done, rows = compare(SMALL)
    assert done == [path.stem for path in SMALL] == [row[0] for row in rows]
    changes = [f'{100 / k:+.0f} %' if k % 2 else '' for k in range(len(SMALL))]
    assert [row[4] for row in rows] == changes
    assert [float(row[1]) for row in rows] == list(range(1, 11))


def test_other_data_or_budget_is_refused(compare, monkeypatch):
    assert compare(SMALL[:1]) == (['sfcn_lite0_shb_cpu'], [ROW])
    for other, message in (
        ('pml_efficientnet_lite0_shb_cpu.py', r'train_cfg\.max_epochs: 12 in .*but 4 in sfcn'),
        ('pml_mcnn_shb_cpu.py', 'the same data and budget'),
    ):
        with pytest.raises(ValueError, match=message):
            compare([REPO / 'configs' / other])
    for again in (SMALL[:1], SMALL[1:2]):
        with pytest.raises(ValueError, match=r'sfcn_lite0_shb_cpu\.py begins with .*lr=1'):
            compare(again, 'optim_wrapper.optimizer.lr=1')
    monkeypatch.setenv('MMCROWD_DATA_ROOT', 'elsewhere')
    with pytest.raises(ValueError, match=r'sfcn_lite0_shb_cpu\.py is of another comparison'):
        compare(SMALL[:1])
    monkeypatch.setenv('MMCROWD_DATA_ROOT', 'data')
    with pytest.raises(ValueError, match='names that differ'):
        compare([SMALL[0], SMALL[0]])
    assert compare(SMALL[1:2]) == (['sfcn_lite0_shb_cpu_pml'], [PML_ROW, ROW])


ROW = ['sfcn_lite0_shb_cpu', '1.00', '1.00', '1.000', '', 'best_1']
PML_ROW = ['sfcn_lite0_shb_cpu_pml', '2.00', '2.00', '2.000', '+100 %', 'best_1']
