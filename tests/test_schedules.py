"""The schedules of the configs end where they say."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

SCHEDULES = Path(__file__).parents[1] / 'configs' / '_base_' / 'schedules'


def learning_rates(name, epoch_length):
    """Learning rate of the first parameter group in every iteration, as the runner steps it."""
    cfg = Config.fromfile(SCHEDULES / name)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = []
    for item in cfg.param_scheduler:
        if item.pop('convert_to_iter_based', False):
            build = PARAM_SCHEDULERS.get(item.type).build_iter_from_epoch
            kwargs = {key: value for key, value in item.items() if key != 'type'}
            schedulers.append(build(optimizer=optimizer, epoch_length=epoch_length, **kwargs))
        else:
            schedulers.append(PARAM_SCHEDULERS.build(item, default_args=dict(optimizer=optimizer)))
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        for _ in range(epoch_length):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return rates


def test_the_authors_schedule():
    rates = learning_rates('adam_3000e.py', epoch_length=2)
    assert rates[0] == pytest.approx(3e-8)
    assert max(rates) == pytest.approx(3e-5, rel=1e-3)
    assert rates.index(max(rates)) == pytest.approx(60, abs=2)  # after 1 % of the epochs
    assert rates[-1] == pytest.approx(2e-5, rel=1e-3)
    assert rates[60:] == sorted(rates[60:], reverse=True)


@pytest.mark.parametrize('name', ['cpu_1h.py', 'cpu_5min.py'])
def test_cpu_schedules_warm_up_and_end_at_zero(name):
    rates = learning_rates(name, epoch_length=90)
    peak = Config.fromfile(SCHEDULES / name).optim_wrapper.optimizer.lr
    assert rates[0] < 0.02 * peak
    assert max(rates) > 0.95 * peak
    assert rates[-1] < 1e-3 * peak
