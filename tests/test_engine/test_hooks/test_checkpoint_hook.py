import os

import pytest
import torch
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.hooks import Hook

from mmcrowd.engine.hooks import CheckpointHook
from mmcrowd.fileio.checkpoints import find_damage, read_checkpoint
from tests.testing.runs import make_runner, validation

resource = pytest.importorskip('resource')

# Epochs of one step, after which the weight is the number of the epoch.
DATASET = [dict(inputs=torch.tensor([1.0])), dict(inputs=torch.tensor([0.0]))]
SAVING = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='error', rule='less')


class Disk(Hook):
    """A disk that has no room for checkpoints, by the system's own limit of the size of a file.

    Args:
        full: ``(epoch, what)`` of saves that find no room, ``what`` being 'last' or 'best'.
    """

    def __init__(self, full=()):
        self.full = set(full)

    def before_save_checkpoint(self, runner, checkpoint):
        is_best = 'optimizer' not in checkpoint
        if (checkpoint['meta']['epoch'], 'best' if is_best else 'last') in self.full:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))

    def make_room(self, *args, **kwargs):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    before_train_iter = before_val_epoch = before_train_epoch = make_room


@pytest.fixture(autouse=True)
def room():
    yield
    Disk().make_room()


def names(folder, pattern='*.pth*'):
    return sorted(path.name for path in folder.glob(pattern))


def run(folder, full=(), best=3, epochs=3, saving=SAVING, hooks=(), **kwargs):
    runner = make_runner(
        folder,
        DATASET,
        epochs,
        hooks=dict(checkpoint=saving),
        custom_hooks=[Disk(full), *hooks],
        **validation(best),
        **kwargs,
    )
    runner.train()
    return runner


def test_it_takes_the_place_of_that_of_mmengine(tmp_path):
    (hook,) = (h for h in run(tmp_path)._hooks if isinstance(h, MMEngineCheckpointHook))
    assert type(hook) is CheckpointHook
    assert names(tmp_path) == ['best_error_epoch_3.pth', 'epoch_3.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_3.pth')
    assert read_checkpoint(tmp_path / 'epoch_3.pth')['state_dict']['weight'].item() == 3


@pytest.mark.parametrize('keep', [1, 2])
def test_whole_ones_at_every_moment(tmp_path, monkeypatch, keep):
    """Before each operation on the disk, the files there are a run to resume, and the best."""
    seen = []

    def watched(operation):
        def call(*args, **kwargs):
            last = tmp_path / 'last_checkpoint'
            if last.is_file():
                assert find_damage(last.read_text()) is None
                seen.append(operation.__name__)
                best = names(tmp_path, 'best_*.pth')
                assert all(find_damage(tmp_path / name) is None for name in best)
                assert best or names(tmp_path, '*.pth') == ['epoch_1.pth']
            return operation(*args, **kwargs)

        return call

    for name in ('fsync', 'replace', 'unlink'):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    run(tmp_path, saving=SAVING | dict(max_keep_ckpts=keep))
    assert {'fsync', 'replace', 'unlink'} == set(seen)
    last = [f'epoch_{epoch}.pth' for epoch in (1, 2, 3)][-keep:]
    assert names(tmp_path) == ['best_error_epoch_3.pth', *last]


def test_no_room_for_one_checkpoint(tmp_path, capsys):
    runner = run(tmp_path, full=[(2, 'last')], best=1)
    assert names(tmp_path) == ['best_error_epoch_1.pth', 'epoch_3.pth']
    error = r'epoch_2.pth could not be saved ([Errno 27] File too large)'
    assert f'{error}; the training goes on' in capsys.readouterr().out
    assert runner.message_hub.get_info('keep_ckpt_ids') == [3]


def test_no_room_for_the_last_checkpoint(tmp_path):
    full = [(2, 'last'), (3, 'last')]
    wanted = r'epoch_3.pth, could not be saved \(.*too large.*--resume from .*epoch_1.pth'
    with pytest.raises(OSError, match=wanted):
        run(tmp_path, full, best=1)
    assert names(tmp_path) == ['best_error_epoch_1.pth', 'epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    Disk().make_room()
    # The run goes on.
    run(tmp_path, best=1, resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    assert names(tmp_path) == ['best_error_epoch_1.pth', 'epoch_3.pth']


def test_a_last_checkpoint_is_tried_again(tmp_path):
    class Later(Hook):
        priority = 'VERY_HIGH'

        def after_train(self, runner):
            disk.full.clear()
            disk.make_room()

    disk = Disk([(3, 'last')])
    run(tmp_path, best=1, hooks=[disk, Later()])
    checkpoint = read_checkpoint(tmp_path / 'epoch_3.pth')
    assert (checkpoint['meta']['epoch'], checkpoint['meta']['iter']) == (3, 3)


def test_no_room_for_the_best_checkpoint(tmp_path, capsys):
    runner = run(tmp_path, full=[(2, 'best'), (3, 'best')])
    assert names(tmp_path) == ['best_error_epoch_1.pth', 'epoch_3.pth']
    assert 'the best checkpoint could not be saved' in capsys.readouterr().out
    info = runner.message_hub.runtime_info
    assert info['best_score'] == 2 and info['best_ckpt'].endswith('best_error_epoch_1.pth')


def test_half_files_of_a_killed_run_are_removed(tmp_path):
    run(tmp_path, epochs=1)
    digits = '0123456789abcdef' * 2
    for name in ('epoch_2.pth', 'best_error_epoch_2.pth', 'last_checkpoint'):
        (tmp_path / f'{name}.{digits}.partial').write_bytes(b'half')
    other = tmp_path / f'results.json.{digits}.partial'  # may be being written
    other.touch()
    run(tmp_path, epochs=2, resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    assert names(tmp_path, '*.partial') == [other.name]


def test_what_a_kill_has_left_over_is_removed(tmp_path, monkeypatch):
    """The outdated checkpoint, if the process is killed before it could remove it."""
    run(tmp_path, epochs=1)

    def killed(path):
        raise KeyboardInterrupt

    resumed = dict(resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    with monkeypatch.context() as patch:
        patch.setattr(os, 'unlink', killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, epochs=2, best=1, **resumed)
    assert names(tmp_path, 'epoch*') == ['epoch_1.pth', 'epoch_2.pth']
    run(tmp_path, epochs=2, resume=True, load_from=str(tmp_path / 'epoch_2.pth'))
    assert names(tmp_path, 'epoch*') == ['epoch_2.pth']


def test_the_best_one_of_a_run_elsewhere_stays(tmp_path):
    run(tmp_path / 'first', best=2, epochs=1)
    (kept,) = names(tmp_path / 'first', 'best_*')
    checkpoint = str(tmp_path / 'first' / 'epoch_1.pth')
    run(tmp_path / 'second', best=2, epochs=2, load_from=checkpoint, resume=True)
    assert names(tmp_path / 'first', 'best_*') == [kept]
    assert names(tmp_path / 'second', 'best_*') == ['best_error_epoch_2.pth']
