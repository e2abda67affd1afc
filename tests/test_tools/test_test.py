"""How the command line of tools/test.py changes a config."""

import pytest


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


def test_out_must_be_a_pickle(tool, config, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args([config, 'epoch_3.pth', '--out', 'predictions.json'])
    assert '--out must end in .pkl or .pickle, got predictions.json' in capsys.readouterr().err
