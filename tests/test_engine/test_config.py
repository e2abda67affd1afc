"""Folders in the environment, errors in files, and what is set but reaches nothing."""

import os
import sys
from pathlib import PureWindowsPath

import pytest
from mmengine.config import Config

from mmcrowd.engine.config import read_config

BASE = """
data_root = '{{$MMCROWD_DATA_ROOT:data}}/set'
fold = 0
longest = 100
kind = 'MySet'
title = 'of nothing'
sizes = [1, 2]
train_pipeline = [dict(type='Load'), dict(type='Limit', longest=longest)]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(type=kind, data_root=data_root, fold=fold, pipeline=train_pipeline),
)
test_dataloader = dict(
    batch_size=1, dataset=dict(type=kind, data_root=data_root, fold=fold, sizes=sizes)
)
model = dict(type='Counter', head=dict(width=64))
randomness = dict(seed=0)
"""
FOLDS = 'train_dataloader.dataset.fold, test_dataloader.dataset.fold'


@pytest.fixture
def write(tmp_path):
    """Function that writes a config file and gives its path."""

    def write(text, name='child.py'):
        path = tmp_path / name
        path.write_text(text, encoding='utf-8')
        return path

    write(BASE, 'base.py')
    return write


# ------------------------------------------------------------------- folders in the environment


@pytest.mark.parametrize(
    'folder',
    [
        '/plain/folder',
        r'C:\Users\me\data',
        r'D:\new\data\1',
        r'\\server\share',
        "/home/o'brien/data",
        '/say "data"',
        r"""/both '" and \' \\" """.strip(),
        '/crowd/数据',
        '/with blank',
        '/two\nlines',
    ],
)
@pytest.mark.parametrize('name', ['MMCROWD_DATA_ROOT', 'MMCROWD_CUSTOM_ROOT'])
def test_any_folder(write, monkeypatch, name, folder):
    monkeypatch.setenv(name, folder)
    path = write(f"_base_ = 'base.py'\nroot = '{{{{${name}:data}}}}'\n")
    cfg = read_config(path)
    assert cfg.root == folder
    if name == 'MMCROWD_DATA_ROOT':
        assert cfg.train_dataloader.dataset.data_root == f'{folder}/set'
    # What a run dumps reads back the same.
    assert Config.fromfile(write(cfg.pretty_text, 'dumped.py')).root == folder


@pytest.mark.skipif(sys.platform == 'win32', reason='names of files are text on this system')
def test_a_folder_whose_name_is_not_utf8(write, monkeypatch):
    folder = os.fsdecode(b'/caf\xe9')
    monkeypatch.setenv('MMCROWD_DATA_ROOT', folder)
    cfg = read_config(write("_base_ = 'base.py'"))
    assert cfg.train_dataloader.dataset.data_root == f'{folder}/set'


def test_a_base_that_a_variable_names(write, monkeypatch):
    monkeypatch.delenv('MMCROWD_DATA_ROOT', raising=False)
    base = write("_base_ = 'base.py'", 'middle.py')
    monkeypatch.setenv('MY_CONFIGS', str(base.parent))
    cfg = read_config(write("_base_ = '{{$MY_CONFIGS:nowhere}}/middle.py'"))
    assert cfg.train_dataloader.dataset.data_root == 'data/set'


def test_backslashes_of_windows(write, monkeypatch):
    monkeypatch.setattr('sys.platform', 'win32')
    monkeypatch.setattr('mmcrowd.engine.config.PurePath', PureWindowsPath)
    monkeypatch.setenv('MMCROWD_DATA_ROOT', r"C:\o'brien\data")
    cfg = read_config(write("_base_ = 'base.py'"))
    assert cfg.train_dataloader.dataset.data_root == "C:/o'brien/data/set"


def test_an_empty_folder_is_none(write, monkeypatch):
    monkeypatch.setenv('MMCROWD_DATA_ROOT', '')
    cfg = read_config(write("_base_ = 'base.py'"))
    assert cfg.train_dataloader.dataset.data_root == 'data/set'
    assert os.environ['MMCROWD_DATA_ROOT'] == ''


# ------------------------------------------------------------------------------ errors in files


def test_missing_files(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'^no config file \S+gone\.py$'):
        read_config(tmp_path / 'gone.py')
    path = write("_base_ = ['base.py', 'sub/gone.py']")
    with pytest.raises(FileNotFoundError, match=r'child\.py: there is no \S+sub/gone\.py to inh'):
        read_config(path)


@pytest.mark.parametrize(
    'text, message',
    [
        ("_base_ = 'base.py'\nmodel = dict(\n", r"child\.py, line 2: '\(' was never closed"),
        ("_base_ = 'base.py'\n\nx = y\n", r"child\.py, line 3: NameError: name 'y' is not defined"),
        ("_base_ = 'base.py'\nx = _base_.fould\n", r'child\.py, line 2: \w+Error: .*fould'),
        ("_base_ = ['base.py', 'other.py']\n", r'child\.py: KeyError: Duplicate key .*fold'),
        ("_base_ = 'base.py'\nmodel = 3\n", None),
        ("_base_ = 'base.py'\nfold = dict(a=1)\n", r'child\.py: TypeError: fold=.* cannot inherit'),
        ("custom_imports = dict(imports=['nosuchmodule'])\n", r'child\.py: ImportError: .*nosuchm'),
    ],
)
def test_errors_name_file_and_line(write, text, message):
    write('fold = 1', 'other.py')
    path = write(text)
    if message is None:
        assert read_config(path).model == 3
        return
    with pytest.raises(ValueError, match=message):
        read_config(path)


def test_an_error_in_a_base_is_of_the_base(write):
    write(BASE + 'x = 1 / 0', 'base.py')
    with pytest.raises(ValueError, match=r'base\.py, line 18: ZeroDivisionError'):
        read_config(write("_base_ = 'base.py'"))


def test_a_file_that_is_no_text(write, tmp_path):
    (tmp_path / 'child.py').write_bytes(b"x = '\xff'")
    with pytest.raises(ValueError, match=r'child\.py: no Python in UTF-8'):
        read_config(tmp_path / 'child.py')


# ------------------------------------------------------------------- options that reach nothing


@pytest.mark.parametrize(
    'option, keys',
    [
        (dict(fold=3), f'of this name that are used: {FOLDS}'),
        (dict(longest=50), 'of this name that are used: train_dataloader.dataset.pipeline.1.long'),
        (
            {'train_pipeline.1.longest': 50},
            'of this name that are used: train_dataloader.dataset.pipeline.1.longest',
        ),
        (dict(batch_size=8), 'of this name .*: train_dataloader.batch_size, test_dataloader.batc'),
        (
            dict(kind='Other'),
            'have its value: train_dataloader.dataset.type, test_dataloader.dataset.type',
        ),
        (dict(train_pipeline=[]), 'have its value: train_dataloader.dataset.pipeline'),
        (dict(nothing=1), r'the runner has no such key, nor has \S+child.py$'),
    ],
)
def test_refused_options(write, option, keys):
    (name,) = option
    with pytest.raises(ValueError, match=f'--cfg-options {name} changes nothing.*{keys}'):
        read_config(write("_base_ = 'base.py'"), option)


def test_options_that_do_something(write):
    options = {
        'train_dataloader.dataset.fold': 2,
        'train_dataloader.dataset.pipeline.1.longest': 50,
        'model.head.width': 8,
        'model.new': 1,
        'work_dir': 'a',
        'load_from': 'b.pth',
        'auto_scale_lr.enable': True,
        'find_unused_parameters': True,
        'env_cfg.cudnn_benchmark': True,
        'title': 'mine',  # read by no file, so perhaps by code
    }
    cfg = read_config(write("_base_ = 'base.py'"), options)
    assert cfg.train_dataloader.dataset.fold == 2 and cfg.test_dataloader.dataset.fold == 0
    assert cfg.train_dataloader.dataset.pipeline[1].longest == 50
    assert (cfg.model.head.width, cfg.model.new, cfg.title) == (8, 1, 'mine')


def test_options_that_do_not_fit(write):
    for option in ({'train_dataloader.dataset.pipeline.7.longest': 1}, {'model.head.width.a': 1}):
        with pytest.raises(ValueError, match=r'child\.py: --cfg-options do not fit: '):
            read_config(write("_base_ = 'base.py'"), option)


# --------------------------------------------------------------------- files that reach nothing


@pytest.mark.parametrize(
    'text, name',
    [
        ('fold = 3', 'fold'),
        ('longest = 50\nfold = 0', 'longest'),
        ("kind = 'Other'\n", 'kind'),
        ('train_pipeline = [dict(type="Load")]', 'train_pipeline'),
        ('train_pipeline = _base_.train_pipeline\ntrain_pipeline[1].longest = 50', 'train_pipe'),
        ('train_pipeline = _base_.train_pipeline\ntrain_pipeline.pop()', 'train_pipeline'),
        ('fold = 3\ntrain_dataloader = dict(dataset=dict(fold=_base_.fold))', 'fold'),
    ],
)
def test_refused_files(write, text, name):
    path = write(f"_base_ = 'base.py'\n{text}\n")
    message = rf'child\.py: {name}\w* is set, but changes nothing, because \S+base\.py .*; keys'
    with pytest.raises(ValueError, match=message):
        read_config(path)
    # It is no better below another file.
    with pytest.raises(ValueError, match=message):
        read_config(
            write("_base_ = 'child.py'\nmodel = dict(head=dict(width=1))\n", 'grandchild.py')
        )


@pytest.mark.parametrize(
    'text',
    [
        '',
        'fold = 0  # as it is',
        'fold = 3\ntrain_dataloader = dict(dataset=dict(fold=fold))',
        'train_dataloader = dict(dataset=dict(fold={{_base_.fold}}))',
        'train_pipeline = _base_.train_pipeline\n'
        'train_pipeline[1].longest = 50\n'
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))',
        'own = 1\nmodel = dict(head=dict(width=2))',
        'own = 1',
        "title = 'mine'",  # the base made nothing of it
        'def make(fold):\n    fold += 1\n    return fold\nmodel = dict(head=dict(width=make(3)))',
        'work_dir = "a"\nload_from = None\nrandomness = dict(seed=3)\nsync_bn = "torch"',
    ],
)
def test_files_that_do_something(write, text):
    read_config(write(f"_base_ = 'base.py'\n{text}\n"))


def test_a_variable_for_those_that_inherit(write):
    write("_base_ = 'base.py'\nfold = 3\n", 'third.py')
    use = 'train_dataloader = dict(dataset=dict(fold={}))\n'
    for value in ('_base_.fold', '{{_base_.fold}}', "_base_['fold']"):
        cfg = read_config(write("_base_ = 'third.py'\n" + use.format(value)))
        assert cfg.train_dataloader.dataset.fold == 3
    cfg = read_config(write("_base_ = 'third.py'\nfold = 4\n" + use.format('fold')))
    assert cfg.train_dataloader.dataset.fold == 4


def test_other_formats(write):
    path = write('{"_base_": "base.py", "model": {"head": {"width": 3}}}', 'child.json')
    assert read_config(path, {'model.type': 'Other'}).model.head.width == 3
