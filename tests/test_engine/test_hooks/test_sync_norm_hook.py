from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from tests.testing.processes import in_processes
from tests.testing.runs import Toy, make_runner

VALUES = [1.0, 2.0, 3.0, 5.0, 8.0, 16.0, 2.0, 4.0]  # in steps of two images in each process


class FixedToy(Toy):
    """With a normalisation besides whose statistics are fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed = nn.BatchNorm1d(1, affine=False)

    def train(self, mode: bool = True):
        super().train(mode)
        self.fixed.eval()
        self.fixed.running_mean.fill_(torch.distributed.get_rank())
        return self


def train(folder: Path, hooks: dict) -> list[dict[str, Tensor]]:
    """Statistics of a model after training, and of its moving average."""
    runner = make_runner(
        folder,
        [dict(inputs=torch.tensor([value])) for value in VALUES],
        model=FixedToy(),
        epochs=1,
        hooks=hooks,
        custom_hooks=[dict(type='EMAHook', momentum=0.25, update_buffers=True)],
        launcher='pytorch',
        cfg=Config(
            dict(
                model_wrapper_cfg=dict(
                    type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
                )
            )
        ),
    )
    (ema,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    runner.train()
    return [
        {name: value.clone() for name, value in model.named_buffers() if 'running' in name}
        for model in (runner.model.module, ema.ema_model.module)
    ]


@pytest.fixture(scope='module', params=[True, False], ids=['synchronised', 'without'])
def results(request, tmp_path_factory):
    hooks = dict(sync_norm=dict(type='SyncNormHook')) if request.param else {}
    folder = tmp_path_factory.mktemp('norm')
    return request.param, in_processes(train, folder, folder / 'run', hooks)


def expected(images: Tensor, reduce: Callable) -> tuple[Tensor, Tensor]:
    """Running mean and variance of each process, and their moving averages."""
    states = torch.tensor([[0.0, 1.0]] * 2)
    averages = None
    for step in images:
        states = reduce(0.9 * states + 0.1 * torch.stack([step.mean(1), step.var(1)], 1))
        averages = states if averages is None else 0.75 * averages + 0.25 * states
    return states, averages


def test_all_processes_have_the_mean(results):
    is_synchronised, processes = results
    # Process 0 has the images 0, 2, 4, ..., process 1 has the others.
    images = torch.tensor(VALUES).view(2, 2, 2).transpose(1, 2)

    def mean(states: Tensor) -> Tensor:
        return states.mean(0, keepdim=True).expand(2, -1)

    wanted = expected(images, mean if is_synchronised else lambda states: states)
    for rank, models in enumerate(processes):
        for model, states in zip(models, wanted, strict=True):
            actual = torch.cat([model['norm.running_mean'], model['norm.running_var']])
            torch.testing.assert_close(actual, states[rank])


def test_fixed_ones_stay(results):
    _, processes = results
    assert [models[0]['fixed.running_mean'].item() for models in processes] == [0, 1]
