import json
import sys
from pathlib import Path

import pytest
from PIL import Image

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
    scalars = tool.read_scalars(str(run))
    assert [e['loss'] for e in scalars if 'loss' in e] == [9, 7, 6]
    assert [e['count/MAE'] for e in scalars if 'loss' not in e] == [5, 4]

    out = tmp_path / 'curves.png'
    monkeypatch.setattr(sys, 'argv', ['plot_curves', str(run), '--out', str(out)])
    tool.main()
    assert min(Image.open(out).size) > 300


def test_curves_name_what_is_wrong(load_tool, tmp_path):
    tool = load_tool('analysis_tools/plot_curves.py')
    with pytest.raises(FileNotFoundError, match=r'scalars\.json in .*run'):
        tool.read_scalars(str(tmp_path / 'run'))
    (tmp_path / 'run' / '1' / 'vis_data').mkdir(parents=True)
    (tmp_path / 'run' / '1' / 'vis_data' / 'scalars.json').write_text('{"step": 1}\n{"st')
    with pytest.raises(ValueError, match=r'scalars\.json: line 2 is no JSON'):
        tool.read_scalars(str(tmp_path / 'run'))


def test_train_step_benchmark_prints_a_ratio(load_tool, monkeypatch, capsys):
    tool = load_tool('analysis_tools/benchmark_train_step.py')
    config = str(REPO / 'configs' / 'pml_mcnn_shb.py')
    argv = ['benchmark', config, '--size', '64', '--points', '3', '--steps', '1']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    out = capsys.readouterr().out
    assert 'bf16: median' in out and 'fp32 / bf16: ' in out
