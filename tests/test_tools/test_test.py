"""How the command line of tools/test.py changes a config."""

import pytest
from mmengine.evaluator import DumpResults

from mmcrowd.engine import launch
from mmcrowd.evaluation.metrics.results_writer import ResultsWriter


@pytest.fixture
def load(load_tool, monkeypatch):
    """Function that gives the config with which the test would begin, and its writers."""
    tool = load_tool('test.py')

    def load(*argv):
        given = []
        monkeypatch.setattr(launch, 'test', lambda *args: given.extend(args))
        tool.main(list(argv))
        return given

    return load


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text("model = dict(type='DensityCounter')\nresume = True\n")
    return str(path)


def test_defaults(load, config):
    cfg, writers = load(config, 'epoch_3.pth')
    assert cfg.load_from == 'epoch_3.pth'
    assert cfg.resume is False
    assert cfg.work_dir == 'work_dirs/tiny'
    assert 'precision' not in cfg.model
    assert 'default_hooks' not in cfg
    assert writers == []


def test_amp(load, config):
    assert load(config, 'epoch_3.pth', '--amp')[0].model.precision == 'bf16'


def test_show_dir(load, config):
    cfg, _ = load(config, 'epoch_3.pth', '--show-dir', 'pictures', '--interval', '5')
    assert cfg.default_hooks.visualization == dict(
        type='CrowdVisualizationHook',
        enable=True,
        interval=5,
        max_images=None,
        out_dir='pictures',
    )


def test_out_pickle(load, config):
    _, (metric,) = load(config, 'epoch_3.pth', '--out', 'all.pkl')
    assert isinstance(metric, DumpResults) and metric.out_file_path == 'all.pkl'


def test_out_json_and_submission(load, config):
    argv = [config, 'epoch_3.pth', '--out', 'results.json', '--submission-dir', 'submission']
    _, (metric,) = load(*argv)
    assert isinstance(metric, ResultsWriter)
    assert (metric.out_file, metric.submission_dir) == ('results.json', 'submission')


def test_out_pickle_and_submission(load, config):
    argv = [config, 'epoch_3.pth', '--out', 'all.pickle', '--submission-dir', 'submission']
    _, (pickle, submission) = load(*argv)
    assert pickle.out_file_path == 'all.pickle'
    assert (submission.out_file, submission.submission_dir) == (None, 'submission')


def test_out_of_another_kind(load, config, capsys):
    with pytest.raises(SystemExit):
        load(config, 'epoch_3.pth', '--out', 'predictions.txt')
    message = '--out must end in .json, .pkl or .pickle, got predictions.txt'
    assert message in capsys.readouterr().err
