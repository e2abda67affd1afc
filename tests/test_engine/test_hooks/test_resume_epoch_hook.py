import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook

from tests.testing.runs import make_runner, validation

HOOKS = dict(
    resume_epoch=dict(type='ResumeEpochHook'),
    resume_validation=dict(type='ResumeValidationHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False),
)


class Dataset(list):
    read = 0

    def __getitem__(self, index):
        self.read += 1
        return super().__getitem__(index)


class Seen(Hook):
    """The inputs of each step, and where validation was."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append([int(value) for value in data_batch['inputs']])

    def after_val_epoch(self, runner, metrics=None):
        self.seen.append('val')


def run(folder, batch_size=2, **kwargs):
    dataset = Dataset(dict(inputs=torch.tensor([float(value)])) for value in range(6))
    hook = Seen()
    runner = make_runner(
        folder, dataset, 2, batch_size, HOOKS, custom_hooks=[hook], **validation(0), **kwargs
    )
    # The runner has made a copy.
    runner.train_loop.dataloader.batch_sampler.sampler.shuffle = True
    runner.train()
    return hook.seen, runner.train_dataloader.dataset.read


def test_from_every_step(tmp_path):
    whole, read = run(tmp_path)
    assert [len(step) for step in whole] == [2, 2, 2, 3, 2, 2, 2, 3]
    assert read == 12
    steps = [index for index, step in enumerate(whole) if step != 'val']
    for done, index in enumerate(steps, 1):
        checkpoint = str(tmp_path / f'iter_{done}.pth')
        seen, read = run(tmp_path / str(done), resume=True, load_from=checkpoint)
        assert seen == whole[index + 1 :]
        assert read == 12 - 2 * done  # those before are not read


def test_another_batch_size(tmp_path, capsys):
    run(tmp_path)
    seen, _ = run(tmp_path / '2', 3, resume=True, load_from=str(tmp_path / 'iter_2.pth'))
    assert seen[:2] == run(tmp_path / '3', 3)[0][:2]
    log = capsys.readouterr().out
    assert '2 of 3 batches of epoch 1 were done, but now it has 2 batches; it begins anew' in log


def test_the_sampler_is_put_back(tmp_path):
    run(tmp_path)
    dataset = [dict(inputs=torch.zeros(1))] * 6
    checkpoint = str(tmp_path / 'iter_2.pth')
    runner = make_runner(tmp_path / '2', dataset, 2, 2, HOOKS, resume=True, load_from=checkpoint)
    runner.train()
    assert type(runner.train_dataloader.batch_sampler.sampler) is DefaultSampler


@pytest.mark.parametrize('resume', [True, False])
def test_a_checkpoint_without_the_number(tmp_path, resume):
    """Of MMEngine's own runs, or weights only."""
    run(tmp_path)
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    del checkpoint['meta']['batches_of_epoch']
    torch.save(checkpoint, tmp_path / 'a.pth')
    seen, _ = run(tmp_path / '2', resume=resume, load_from=str(tmp_path / 'a.pth'))
    assert seen[:3] == run(tmp_path / '3')[0][:3]
