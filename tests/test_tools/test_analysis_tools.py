import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmcrowd.analysis.benchmarks import losses, matching
from mmcrowd.analysis.learning_curves import read_scalars

from .cli import run_tool

REPO = Path(__file__).resolve().parents[2]


def write_log(folder, entries):
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(json.dumps(entry) for entry in entries))


def test_curves_of_a_resumed_run(load_tool, tmp_path, monkeypatch):
    tool = load_tool('analysis_tools/plot_curves.py')
    run = tmp_path / 'run'
    write_log(
        run / '1' / 'vis_data',
        [dict(loss=9.0, step=10), {'count/MAE': 5.0, 'step': 1}, dict(loss=8.0, step=20)],
    )
    write_log(
        run / '2' / 'vis_data',
        [dict(loss=7.0, step=20), dict(loss=6.0, step=30), {'count/MAE': 4.0, 'step': 2}],
    )
    scalars = read_scalars(run)
    assert [e['loss'] for e in scalars if 'loss' in e] == [9, 7, 6]
    assert [e['count/MAE'] for e in scalars if 'loss' not in e] == [5, 4]

    out = tmp_path / 'curves.png'
    monkeypatch.setattr(sys, 'argv', ['plot_curves', str(run), '--out', str(out)])
    tool.main()
    assert min(Image.open(out).size) > 300


def test_curves_name_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'scalars\.json in .*run'):
        read_scalars(tmp_path / 'run')
    (tmp_path / 'run' / '1' / 'vis_data').mkdir(parents=True)
    (tmp_path / 'run' / '1' / 'vis_data' / 'scalars.json').write_text('{"step": 1}\n{"st')
    with pytest.raises(ValueError, match=r'scalars\.json: line 2 is no JSON'):
        read_scalars(tmp_path / 'run')


@pytest.mark.parametrize(
    'name, size',
    [('pml_mcnn_shb', '64'), ('p2pnet/p2pnet_vgg16bn_sha', '64')],
    ids=['density', 'points'],
)
def test_train_step_benchmark_prints_a_ratio(load_tool, monkeypatch, capsys, name, size):
    tool = load_tool('analysis_tools/benchmark_train_step.py')
    config = str(REPO / 'configs' / f'{name}.py')
    argv = ['benchmark', config, '--size', size, '--steps', '1']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    out = capsys.readouterr().out
    assert 'bf16: median' in out and 'fp32 / bf16: ' in out


def test_train_step_benchmark_takes_crops_that_are_not_padded(load_tool, monkeypatch):
    argv = ['benchmark', 'mmcrowd::pml_vgg16_shb_cpu', '--size', '100', '--steps', '1']
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(ValueError, match='size=100, expected a multiple of 32: .*pml_vgg16_shb'):
        load_tool('analysis_tools/benchmark_train_step.py').main()


def test_loss_benchmark_prints_ratios(load_tool, monkeypatch, capsys):
    tool = load_tool('analysis_tools/benchmark_losses.py')
    argv = ['benchmark', '--size', '32', '--points', '3', '--seconds', '0', '--losses', 'PMLLoss']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1] for row in rows] == ['inside', 'given', 'dense', 'PMLLoss']
    # Milliseconds, and the ratios to the first two forms, which are 1 for themselves.
    assert all(float(row[2]) > 0 for row in rows)
    assert rows[0][3] == rows[1][4] == '1.0'


def test_loss_benchmark_repeats_all_forms_alike():
    done = []
    calls = {form: lambda form=form: done.append(form) for form in ('inside', 'given', 'dense')}
    times = losses.time_calls(calls, seconds=0, device='cpu')
    # In a row, and one more often than is timed.
    assert done == [form for form in calls for _ in range(losses.REPEATS + 1)]
    assert {form: len(values) for form, values in times.items()} == dict.fromkeys(calls, 5)


def test_localizer_benchmark_prints_scores(load_tool, monkeypatch, capsys):
    tool = load_tool('analysis_tools/benchmark_localizers.py')
    argv = ['benchmark', '--size', '32', '--people', '5', '--crowds', '1', '--no-dense']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    rows = [line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:]]
    forms = ['OTM', 'LM absolute', 'LM relative', 'LM adaptive']
    assert [' '.join(row[:-5]) for row in rows] == forms
    assert all(0 <= float(row[-1]) <= 1 and float(row[-4]) > 0 for row in rows)


def test_matching_benchmark_counts_pairs():
    pairs, matches, *seconds, memory = matching.measure(20, 1.5)  # all within one radius
    assert (pairs, matches) == (400, 20) and min(seconds) > 0 and memory >= 0


def test_figures_of_the_loss(load_tool, monkeypatch, tmp_path):
    tool = load_tool('analysis_tools/draw_loss.py')
    config = str(REPO / 'configs' / 'pml_vgg16_synthetic.py')
    argv = ['draw_loss', config, '--index', '1', '--crop', '64', '--out-dir', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    names = {'partition', 'backgrounds', 'targets', 'transport'}
    assert {path.stem for path in tmp_path.iterdir()} == names
    for name in names:
        assert min(Image.open(tmp_path / f'{name}.png').size) > 200


def test_losses_compared_and_resumed(tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(
        f'_base_ = {str(REPO / "configs" / "pml_resnet18_synthetic.py")!r}\n'
        'train_cfg = dict(max_epochs=1, val_interval=1)\n'
        'tiny = dict(num_images=2, img_size=(64, 64))\n'
        'train_dataloader = dict(\n'
        '    batch_size=2, num_workers=0, persistent_workers=False, dataset=tiny)\n'
        'val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=tiny)\n'
        'test_dataloader = dict(num_workers=0, dataset=tiny)\n'
    )
    command = ('analysis_tools/compare_losses.py', config, '--work-dir', tmp_path / 'runs')
    run_tool(*command, '--losses', 'l2', data_root=tmp_path)
    first = (tmp_path / 'runs' / 'l2' / 'result.json').stat()
    out = run_tool(*command, '--losses', 'pml', 'l2', data_root=tmp_path)
    table = (tmp_path / 'runs' / 'comparison.md').read_text()
    assert table in out
    assert [line.split('|')[1].strip() for line in table.splitlines()[-2:]] == ['pml', 'l2']
    # The first loss was not trained again.
    assert (tmp_path / 'runs' / 'l2' / 'result.json').stat().st_mtime_ns == first.st_mtime_ns
    assert min(Image.open(tmp_path / 'runs' / 'comparison.png').size) > 300


def test_crops_learnt_by_heart(load_tool, monkeypatch, capsys, tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(
        f'_base_ = {str(REPO / "configs" / "pml_resnet18_synthetic.py")!r}\n'
        'tiny = dict(num_images=8, img_size=(96, 96))\n'
        'train_dataloader = dict(dataset=tiny)\n'
    )
    tool = load_tool('analysis_tools/overfit_crops.py')
    argv = ['overfit', str(config), '--num-crops', '2', '--batch-size', '2', '--num-steps', '2']
    monkeypatch.setattr(sys, 'argv', [*argv, '--epochs', '2', '--min-heads', '1'])
    tool.main()
    row = capsys.readouterr().out.splitlines()[-1]  # after the engine's lines
    assert row.startswith(str(config)) and len(row.split()) >= 8
    for options, message in (
        (['--epochs', '3'], '3 epochs, expected 1 to 2'),
        (['--min-heads', '9999'], 'with 9999 heads or more'),
    ):
        monkeypatch.setattr(sys, 'argv', [*argv, *options])
        with pytest.raises(ValueError, match=message):
            tool.main()
