"""The models of the package and their weights."""

import hashlib

import pytest

from mmcrowd.apis import CrowdInferencer, zoo
from mmcrowd.apis.zoo import ZooEntry, config_of, find_entry, list_models
from mmcrowd.fileio.checkpoints import read_checkpoint


def test_the_default_model_comes_with_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.delenv('MMCROWD_WEIGHTS_DIR', raising=False)
    entry = find_entry('default')
    path = entry.fetch()
    content = path.read_bytes()
    assert path.parent.name == 'zoo' and len(content) <= 5e6
    assert hashlib.sha256(content).hexdigest() == entry.sha256
    meta = read_checkpoint(path)['meta']
    assert meta['config'] == entry.config
    low, high = meta['sizes']
    assert 0 < low <= high


def test_every_config_has_a_name():
    assert len(list_models()) > 100
    assert list_models('pml_hrnet_q*') == ['pml_hrnet_qnrf']
    assert find_entry('BL_VGG19_SHA').config == 'mmcrowd::bl/bl_vgg19_sha'
    assert 'pml_efficientnet_lite0_default' in list_models(with_weights=True)
    words = [word for e in zoo.read_zoo().values() for word in (e.name, *e.aliases)]
    assert len({word.lower() for word in words}) == len(words)


def test_models_of_the_inferencer():
    assert CrowdInferencer.list_models('pml_hrnet_q*') == ['pml_hrnet_qnrf']
    assert CrowdInferencer.list_models(scope='mmcrowd', patterns='none') == []
    assert CrowdInferencer.list_models() == list_models()


def test_configs_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine').touch()
    assert config_of('PML_hrnet_qnrf') == 'mmcrowd::pml_hrnet_qnrf'
    assert config_of('default') == find_entry('default').config
    for text in ('mine', 'gone.py', 'mmcrowd::pml_hrnet_qnrf', 'other::x'):
        assert config_of(text) == text
    with pytest.raises(ValueError, match='no model .qwzx.: .* `mmcrowd zoo list --all` has all'):
        config_of('qwzx')


def entry(weights=('https://a/x.pth',), results=()):
    return ZooEntry('m', (), 'mmcrowd::m.py', weights, None, {}, results)


def test_test_errors():
    results = (
        dict(Dataset='A', Metrics=dict(MAE=80.25)),
        dict(Dataset='B', Metrics=dict(MAE=9.0, RMSE=14)),
        dict(Dataset='C'),
    )
    assert entry(results=results).test_errors() == 'test MAE 80.25 on A, 9 on B'
    assert entry(weights=(), results=results).test_errors() == 'test MAE unknown'
    assert entry().test_errors() == 'test MAE unknown'


def test_weights_in_a_folder_of_ones_own(monkeypatch, tmp_path):
    monkeypatch.setenv('MMCROWD_WEIGHTS_DIR', str(tmp_path))
    (tmp_path / 'x.pth').write_bytes(b'weights')
    assert entry().fetch() == tmp_path / 'x.pth'
    damaged = entry()._replace(sha256='0' * 64)
    with pytest.raises(ValueError, match='x.pth: sha256 .* expected 0000'):
        damaged.fetch()
