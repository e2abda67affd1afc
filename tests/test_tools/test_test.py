"""How the command line of tools/test.py changes a config."""

import pytest
from mmengine.evaluator import DumpResults

from mmcrowd.evaluation.metrics.results_writer import ResultsWriter


@pytest.fixture
def tool(load_tool):
    return load_tool('test.py')


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text("model = dict(type='DensityCounter')\nresume = True\n")
    return str(path)


def load(tool, *argv):
    return tool.load_config(tool.parse_args(list(argv)))


def test_defaults(tool, config):
    cfg = load(tool, config, 'epoch_3.pth')
    assert cfg.load_from == 'epoch_3.pth'
    assert cfg.resume is False
    assert cfg.work_dir == 'work_dirs/tiny'
    assert 'precision' not in cfg.model
    assert 'default_hooks' not in cfg


def test_amp(tool, config):
    assert load(tool, config, 'epoch_3.pth', '--amp').model.precision == 'bf16'


def test_show_dir(tool, config):
    cfg = load(tool, config, 'epoch_3.pth', '--show-dir', 'pictures', '--interval', '5')
    assert cfg.default_hooks.visualization == dict(
        type='CrowdVisualizationHook',
        enable=True,
        interval=5,
        max_images=None,
        out_dir='pictures',
    )


def test_no_file_is_written_unasked(tool, config):
    assert tool.writers(tool.parse_args([config, 'epoch_3.pth'])) == []


def test_out_pickle(tool, config):
    (metric,) = tool.writers(tool.parse_args([config, 'epoch_3.pth', '--out', 'all.pkl']))
    assert isinstance(metric, DumpResults) and metric.out_file_path == 'all.pkl'


def test_out_json_and_submission(tool, config):
    argv = [config, 'epoch_3.pth', '--out', 'results.json', '--submission-dir', 'submission']
    (metric,) = tool.writers(tool.parse_args(argv))
    assert isinstance(metric, ResultsWriter)
    assert (metric.out_file, metric.submission_dir) == ('results.json', 'submission')


def test_out_pickle_and_submission(tool, config):
    argv = [config, 'epoch_3.pth', '--out', 'all.pickle', '--submission-dir', 'submission']
    pickle, submission = tool.writers(tool.parse_args(argv))
    assert pickle.out_file_path == 'all.pickle'
    assert (submission.out_file, submission.submission_dir) == (None, 'submission')


def test_out_of_another_kind(tool, config, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args([config, 'epoch_3.pth', '--out', 'predictions.txt'])
    message = '--out must end in .json, .pkl or .pickle, got predictions.txt'
    assert message in capsys.readouterr().err
