"""Tools that tell about a config: print_config.py and get_flops.py."""

import pytest

from mmcrowd.engine.config import read_config


def test_what_is_printed_is_a_config(load_tool, tmp_path, capsys):
    argv = ['mmcrowd::pml_mcnn_sha', '--cfg-options', 'model.precision=bf16']
    load_tool('misc/print_config.py').main([*argv, '--data-root', 'folder'])
    path = tmp_path / 'printed.py'
    path.write_text(capsys.readouterr().out, encoding='utf-8')
    printed = read_config(path)
    expected = read_config(argv[0], {'model.precision': 'bf16'}, 'folder')
    assert printed.to_dict() == expected.to_dict()
    assert printed.model.precision == 'bf16' and '_base_' not in path.read_text(encoding='utf-8')


def test_names_of_the_zoo(load_tool, capsys):
    load_tool('misc/print_config.py').main(['pml_mcnn_sha'])
    assert "type='MCNN'" in capsys.readouterr().out
    load_tool('analysis_tools/get_flops.py').main(['pml_mcnn_sha', '--size', '64', '32'])
    assert 'parameters  ' in capsys.readouterr().out
    with pytest.raises(ValueError, match='no model .pml_mcnn_shaa.: .*did you mean pml_mcnn_sha'):
        load_tool('misc/print_config.py').main(['pml_mcnn_shaa'])


@pytest.mark.parametrize('table', [False, True])
def test_get_flops(load_tool, capsys, table):
    argv = ['mmcrowd::pml_mcnn_sha', '--size', '64', '32'] + ['--table', '2'] * table
    load_tool('analysis_tools/get_flops.py').main(argv)
    out = capsys.readouterr().out
    assert 'input       1 x 1 x 32 x 64\nparameters  ' in out
    assert ('| module' in out, 'backbone.column1' in out) == (table, table)


def test_get_flops_downloads_nothing(load_tool, capsys, monkeypatch):
    pytest.importorskip('timm')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    load_tool('analysis_tools/get_flops.py').main(['mmcrowd::zip/zip_p_sha', '--size', '64', '64'])
    assert 'parameters  ' in capsys.readouterr().out
