"""Checkpoints are written whole and read without running code."""

import pickle

import pytest
import torch

from mmcrowd.fileio.checkpoints import load_state_dict, save_checkpoint


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
