"""Checkpoints are written whole and read without running code."""

import pickle

import pytest
import torch

from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint, slim_checkpoint


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
    with pytest.raises(ValueError, match=r'a\.pth: not a readable checkpoint'):
        load_state_dict(tmp_path / 'a.pth')
    assert 'run' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [b'', b'text', pickle.dumps([1], 2)])
def test_no_checkpoint(tmp_path, content):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.pth: not a readable checkpoint'):
        load_state_dict(path)


def test_no_parameters(tmp_path):
    torch.save(dict(epoch=3), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth: no parameters, neither under "state_dict"'):
        load_state_dict(tmp_path / 'a.pth')


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
