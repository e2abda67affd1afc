import random
from types import SimpleNamespace

import mmengine.dist.utils
import numpy as np
import pytest
import torch

from mmcrowd.engine.hooks import step_seed_hook
from mmcrowd.engine.hooks.step_seed_hook import StepSeedHook


@pytest.fixture
def draw(monkeypatch):
    """Function that gives what is drawn in a step."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()

    def draw(seed, step, rank=0):
        monkeypatch.setattr(step_seed_hook, 'get_rank', lambda: rank)
        StepSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=step), 0)
        return random.random(), np.random.rand(), torch.rand(()).item()

    yield draw
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def test_draws_depend_on_seed_step_and_process_only(draw):
    assert mmengine.dist.utils.get_rank() == 0
    draws = {
        case: draw(*case) for case in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 2**31, 9)]
    }
    assert all(len(set(column)) == len(draws) for column in zip(*draws.values(), strict=True))
    for case, expected in reversed(draws.items()):
        assert draw(*case) == expected
