"""The schedules of the configs end where they say."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from mmcrowd.engine.config import read_config

CONFIGS = Path(__file__).parents[1] / 'configs'
SCHEDULES = CONFIGS / '_base_' / 'schedules'


def learning_rates(name, epoch_length):
    """Learning rate of the first parameter group in every iteration, as the runner steps it."""
    cfg = read_config(SCHEDULES / name)
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


@pytest.mark.parametrize('factor', [None, 0.5])
def test_one_rate_for_all_unless_told_otherwise(factor):
    """The published program never applies its half rate of the backbone."""
    option = 'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult'
    cfg = read_config(CONFIGS / 'pml_vgg19_sha.py', {option: factor} if factor else None)
    model = torch.nn.ModuleDict({part: torch.nn.Linear(1, 1) for part in ('backbone', 'head')})
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {
        id(parameter): group['lr']
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    assert {rates[id(p)] for p in model['head'].parameters()} == {3e-5}
    assert {rates[id(p)] for p in model['backbone'].parameters()} == {3e-5 * (factor or 1)}


@pytest.mark.parametrize(
    'name, epochs, expected',
    [
        # By epoch. A period of n epochs ends at (1 - cos(pi / n)) / 2 of the highest rate.
        ('adam_200e_decay.py', 200, {0: 1e-5, 100: 1e-5 * 0.995**100}),
        ('adam_1300e_restarts.py', 1300, {0: 1e-5, 25: 1e-4, 29: 1.05e-5, 30: 1e-4, 1299: 1e-6}),
        ('adam_2600e_restarts.py', 2600, {0: 1e-6, 50: 1e-4, 54: 9.64e-6, 55: 1e-4, 65: 1e-4}),
        ('adam_1500e_step.py', 1500, {0: 1e-4, 1199: 1e-4, 1200: 1e-5}),
        ('../../steerer/steerer_hrnet_w48_shb.py', 300, {0: 5e-7, 10: 1e-5, 299: 1e-7}),
        ('../../steerer/steerer_hrnet_w48_qnrf.py', 800, {0: 5e-7, 10: 1e-4, 799: 1e-7}),
        ('../../sfcn/sfcn_resnet101_nwpu.py', 500, {0: 1e-5, 400: 1e-5 * 0.995**400}),
    ],
)
def test_schedules_of_other_systems(name, epochs, expected):
    rates = learning_rates(name, epoch_length=1)
    assert len(rates) == epochs
    assert {epoch: rates[epoch] for epoch in expected} == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize('name', ['cpu_1h.py', 'cpu_5min.py'])
def test_cpu_schedules_warm_up_and_end_at_zero(name):
    rates = learning_rates(name, epoch_length=90)
    peak = read_config(SCHEDULES / name).optim_wrapper.optimizer.lr
    assert rates[0] < 0.02 * peak
    assert max(rates) > 0.95 * peak
    assert rates[-1] < 1e-3 * peak


@pytest.mark.parametrize('epoch_length', [1, 5, 18, 90])
def test_warm_up_for_few_photos_is_a_share_of_the_run(epoch_length):
    """18 photos in batches of 18, 4 and 1, and 90 photos."""
    name = '../../pml_vgg16_custom.py'
    rates = learning_rates(name, epoch_length)
    peak = read_config(SCHEDULES / name).optim_wrapper.optimizer.lr
    assert len(rates) == 20 * epoch_length
    assert max(rates) > 0.9 * peak
    assert rates.index(max(rates)) == pytest.approx(len(rates) / 6, abs=2)
    assert rates[-1] < 0.01 * peak
