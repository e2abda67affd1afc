"""Checkpoints are written whole and read without running code."""

import hashlib
import pickle
from argparse import Namespace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmcrowd.fileio.checkpoints import (
    download_checkpoint,
    fetch_weights,
    find_damage,
    load_state_dict,
    require_same_parameters,
    save_checkpoint,
    slim_checkpoint,
)


def test_there_and_back(tmp_path):
    path = tmp_path / 'new' / 'a.pth'
    state_dict = {'head.weight': torch.arange(3.0), 'steps': torch.tensor(2)}
    save_checkpoint(state_dict, dict(source='x.h5', mean=[0.5]), path)
    assert [file.name for file in path.parent.iterdir()] == ['a.pth']
    assert torch.load(path, weights_only=True)['meta'] == dict(source='x.h5', mean=[0.5])
    loaded = load_state_dict(path)
    assert list(loaded) == list(state_dict)
    assert all(torch.equal(loaded[name], value) for name, value in state_dict.items())


@pytest.mark.parametrize('key', ['weights', None])
def test_under_a_key_or_at_the_top(tmp_path, key):
    state_dict = {'module.a': torch.ones(1), 'b.module.c': torch.ones(1)}
    torch.save(state_dict if key is None else {key: state_dict, 'epoch': 3}, tmp_path / 'a.pth')
    assert list(load_state_dict(tmp_path / 'a.pth', 'weights')) == ['a', 'b.module.c']


class Code:
    """Runs when it is read from a pickle."""

    def __reduce__(self):
        return (print, ('run',))


def test_no_code_is_run(tmp_path, capsys):
    torch.save(dict(state_dict=Code()), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth: refused, .* plain values \(print\)'):
        load_state_dict(tmp_path / 'a.pth')
    assert 'run' not in capsys.readouterr().out


@pytest.mark.parametrize(
    'content', [b'', b'text', b'<html>', b'd: 1', b'ustar', b'PK\3\4', pickle.dumps([1], 2)]
)
def test_no_checkpoint(tmp_path, content):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.pth: not a readable checkpoint') as error:
        load_state_dict(path)
    assert 'weights_only' not in str(error.value)


def test_damage_is_found_anywhere(tmp_path):
    """A changed byte of a tensor, and every cut."""
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(weight=torch.arange(50.0))), path)
    assert find_damage(path) is None
    content = path.read_bytes()
    place = content.index(np.float32(30).tobytes())
    path.write_bytes(content[:place] + b'\xff' + content[place + 1 :])
    assert load_state_dict(path)['weight'].shape == (50,)  # torch takes it
    assert 'is not as it was written' in find_damage(path)
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        assert find_damage(path).endswith(f'; {length} bytes')
    assert find_damage(tmp_path / 'b.pth') == 'no such file'
    assert find_damage(tmp_path) is None  # a folder of DeepSpeed's


def test_no_parameters(tmp_path):
    torch.save(dict(epoch=3), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth: no parameters, neither under "state_dict"'):
        load_state_dict(tmp_path / 'a.pth')


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode):
        return dict(loss_sum=self.layer(inputs).square().sum())


@pytest.mark.parametrize('averaged', [False, True])
def test_checkpoint_of_a_training(tmp_path, averaged):
    """It has the log and the optimizer beside the weights; of two kinds the averaged ones count."""
    Runner(
        Toy(),
        str(tmp_path),
        train_dataloader=dict(
            batch_size=1,
            dataset=[torch.ones(2)] * 3,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        custom_hooks=[dict(type='EMAHook')] if averaged else None,
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        experiment_name=f'toy_{averaged}',
        log_level='ERROR',
    ).train()
    whole = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert whole['message_hub']['log_scalars'] and whole['optimizer']
    loaded = load_state_dict(tmp_path / 'epoch_1.pth')
    assert set(loaded) == {'layer.weight', 'layer.bias'}
    assert all(torch.equal(loaded[name], whole['state_dict'][name]) for name in loaded)
    if averaged:
        assert not torch.equal(loaded['layer.bias'], whole['ema_state_dict']['module.layer.bias'])


def test_options_beside_the_weights(tmp_path):
    path = tmp_path / 'a.pth'
    options = Namespace(lr=1e-4, parts=[np.float64(1), np.ones(2)])
    torch.save(dict(model={'a': torch.ones(1)}, args=options), path)
    assert list(load_state_dict(path, 'model')) == ['a']
    torch.save(dict(state_dict=options), path)
    with pytest.raises(ValueError, match='no parameters'):
        load_state_dict(path)


def test_parameters_alone(tmp_path):
    save_checkpoint({'a': torch.ones(1)}, dict(source='x'), tmp_path / 'a.pth', key=None)
    assert list(torch.load(tmp_path / 'a.pth', weights_only=True)) == ['a']
    save_checkpoint({'a': torch.ones(1)}, dict(source='x'), tmp_path / 'b.pth', key='model')
    assert list(torch.load(tmp_path / 'b.pth', weights_only=True)) == ['model', 'meta']


def test_a_slim_checkpoint_keeps_what_a_run_needs(tmp_path):
    big = torch.tensor([1e6, 1.0])
    state_dict = dict(weight=torch.tensor([0.1, 3.0]), big=big, steps=torch.tensor(2))
    optimizer = dict(state={0: torch.ones(2)}, param_groups=[dict(lr=0.5)])
    full = dict(meta=dict(epoch=3), state_dict=state_dict, ema_state_dict=dict(weight=big))
    torch.save(dict(full, optimizer=optimizer), tmp_path / 'full.pth')
    slim_checkpoint(tmp_path / 'full.pth', tmp_path / 'slim.pth')
    slim = torch.load(tmp_path / 'slim.pth', weights_only=True)
    assert slim['state_dict']['weight'].equal(torch.tensor([0.1, 3.0]).half())
    assert slim['state_dict']['big'].equal(big)  # beyond the range of half precision
    assert slim['state_dict']['steps'].equal(torch.tensor(2))
    del slim['state_dict']
    assert slim == dict(meta=dict(epoch=3), optimizer=dict(state={}, param_groups=[dict(lr=0.5)]))


def test_no_checkpoint_of_a_training(tmp_path):
    torch.save(dict(weight=torch.ones(1)), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth: no checkpoint of a training'):
        slim_checkpoint(tmp_path / 'a.pth', tmp_path / 'b.pth')


def test_what_may_differ_between_models():
    model = {'head.weight': torch.ones(2), 'bn.num_batches_tracked': torch.tensor(1)}
    given = {'head.weight': torch.ones(2), 'loss_module.centre': torch.ones(1)}
    require_same_parameters(model, given, 'a.pth')
    with pytest.raises(
        ValueError, match=r'a.pth: .*: 12 that it does not have \(x0, x1, x2, x3 and 8'
    ):
        require_same_parameters(model, given | {f'x{k}': torch.ones(1) for k in range(12)}, 'a.pth')


# ------------------------------------------------------------------------------------- mirrors

CONTENT = b'weights'
DIGITS = hashlib.sha256(CONTENT).hexdigest()
UNREACHABLE = 'http://127.0.0.1:9/a.pth'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of downloads, empty."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.delenv('MMCROWD_WEIGHTS_DIR', raising=False)
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / 'zoo'
    folder.mkdir()
    (folder / 'a.pth').write_bytes(CONTENT)
    (folder / 'other.pth').write_bytes(b'something else')
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()


def test_the_next_mirror_where_one_fails(cache, server):
    wrong = [f'{server}/none.pth', f'{server}/other.pth', 'http://[none/a.pth']
    mirrors = [UNREACHABLE, *wrong, f'{server}/a.pth']
    path = fetch_weights('a.pth', mirrors, DIGITS)
    assert path == cache / 'a.pth' and path.read_bytes() == CONTENT
    assert [each.name for each in cache.iterdir()] == ['a.pth']
    # Then it is there.
    assert fetch_weights('a.pth', [UNREACHABLE], DIGITS) == path


def test_downloads_of_one_name(cache, server, tmp_path, capsys, monkeypatch):
    for name in ('a', 'b'):
        (tmp_path / 'zoo' / name).mkdir()
        (tmp_path / 'zoo' / name / 'best-2.pth').write_bytes(name.encode())
    urls = [f'{server}/{name}/best-2.pth' for name in 'ab']
    paths = [download_checkpoint(url) for url in urls]
    assert [path.read_bytes() for path in paths] == [b'a', b'b']
    assert {path.name for path in paths} == {'best-2.pth'} and all(
        path.is_relative_to(cache) for path in paths
    )
    out, err = capsys.readouterr()
    assert not out and err.count('Downloading http') == 2
    # They are found again.
    assert [download_checkpoint(url) for url in urls] == paths
    assert capsys.readouterr() == ('', '')
    monkeypatch.setenv('MMCROWD_WEIGHTS_DIR', str(tmp_path))
    (tmp_path / 'best-2.pth').write_bytes(b'own')
    assert [download_checkpoint(url).read_bytes() for url in urls] == [b'own', b'own']
    out, err = capsys.readouterr()
    line = f'{tmp_path}/best-2.pth is taken, which is in the folder of MMCROWD_WEIGHTS_DIR\n'
    assert not out and err == line


def test_digits_in_the_name_tell_the_file(cache, server, tmp_path):
    name = f'a-{DIGITS[:8]}.pth'
    (tmp_path / 'zoo' / name).write_bytes(CONTENT)
    assert download_checkpoint(f'{server}/{name}') == cache / name
    assert download_checkpoint(f'{UNREACHABLE}/{name}') == cache / name


def test_no_mirror_has_it(cache, server, monkeypatch):
    with pytest.raises(FileNotFoundError) as error:
        fetch_weights('a.pth', [UNREACHABLE, f'{server}/none.pth'], DIGITS)
    message = str(error.value)
    assert UNREACHABLE in message and f'{server}/none.pth' in message and '404' in message
    assert f'put the file at {cache / "a.pth"}, or into the folder that MMCROWD_WEIGHTS' in message
    monkeypatch.setenv('MMCROWD_WEIGHTS_DIR', '~/none')
    with pytest.raises(FileNotFoundError, match='MMCROWD_WEIGHTS_DIR names .*none, which is not'):
        fetch_weights('a.pth', [], DIGITS)


def test_files_that_are_here_come_first(cache, tmp_path, monkeypatch, capsys):
    (tmp_path / 'packed.pth').write_bytes(CONTENT)
    mirrors = [UNREACHABLE, tmp_path / 'none.pth', tmp_path / 'packed.pth']
    assert fetch_weights('a.pth', mirrors, DIGITS) == tmp_path / 'packed.pth'
    folder = tmp_path / 'own'
    folder.mkdir()
    monkeypatch.setenv('MMCROWD_WEIGHTS_DIR', str(folder))
    assert fetch_weights('a.pth', mirrors, DIGITS) == tmp_path / 'packed.pth'
    (folder / 'a.pth').write_bytes(b'cut')
    assert fetch_weights('a.pth', mirrors, DIGITS) == tmp_path / 'packed.pth'
    assert 'own/a.pth: sha256' in capsys.readouterr().err
    with pytest.raises(ValueError, match='a.pth: sha256 .*, expected .*; remove it or replace it'):
        fetch_weights('a.pth', mirrors[:2], DIGITS)
    (folder / 'a.pth').write_bytes(CONTENT)
    assert fetch_weights('a.pth', mirrors, DIGITS) == folder / 'a.pth'
