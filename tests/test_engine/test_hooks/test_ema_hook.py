import math

import pytest
import torch
from mmengine import hooks

from mmcrowd.engine.hooks import EMAHook
from mmcrowd.registry import HOOKS
from tests.testing.runs import make_runner

GUARD = dict(guard=dict(type='NonFiniteGuardHook'))


def train(tmp_path, batches, accumulate=1, wrapper='OptimWrapper', **average):
    """State of the averaged model after batches of two values."""
    dataset = [dict(inputs=torch.tensor([value])) for batch in batches for value in batch]
    runner = make_runner(
        tmp_path,
        dataset,
        epochs=1,
        hooks=GUARD,
        custom_hooks=[dict(type='EMAHook', momentum=0.25, **average)],
        optim_wrapper=dict(
            type=wrapper, optimizer=dict(type='SGD', lr=1.0), accumulative_counts=accumulate
        ),
    )
    runner.train()
    (hook,) = (each for each in runner.hooks if isinstance(each, hooks.EMAHook))
    return {name: value.clone() for name, value in hook.ema_model.state_dict().items()}


GOOD, BETTER, BEST, NAN = (1.0, 2.0), (3.0, 5.0), (2.0, 7.0), (math.nan, 1.0)


def test_the_name_is_found_first():
    assert HOOKS.get('EMAHook') is EMAHook


@pytest.mark.parametrize('update_buffers', [True, False])
@pytest.mark.parametrize(
    'accumulate, batches, whole',
    [
        (1, [GOOD, NAN, BETTER, NAN, NAN, BEST], [GOOD, BETTER, BEST]),
        (1, [NAN, GOOD, BETTER], [GOOD, BETTER]),
        (2, [GOOD, BETTER, NAN, GOOD, BEST, NAN, BEST, GOOD], [GOOD, BETTER, BEST, GOOD]),
    ],
    ids=['later', 'first', 'accumulated'],
)
def test_a_skipped_step_is_not_averaged(tmp_path, accumulate, batches, whole, update_buffers):
    """Weights, statistics and number of steps are those of a run without it, bit for bit."""
    skipped, expected = (
        train(tmp_path / str(number), each, accumulate, update_buffers=update_buffers)
        for number, each in enumerate((batches, whole))
    )
    assert expected['steps'] == len(whole) / accumulate
    assert expected['module.weight'] != 0
    assert list(skipped) == list(expected)
    for name, value in expected.items():
        assert torch.equal(skipped[name], value), name


def test_accumulated_batches_are_averaged_as_one(tmp_path):
    """As a larger batch is, whose gradient is the mean of theirs."""
    parts = train(tmp_path / 'parts', [GOOD, BETTER, BEST, GOOD], 2)
    sums = [tuple(map(sum, zip(*pair, strict=True))) for pair in ((GOOD, BETTER), (BEST, GOOD))]
    whole = train(tmp_path / 'whole', [tuple(x / 2 for x in batch) for batch in sums])
    assert parts['steps'] == whole['steps'] == 2
    assert parts['module.weight'] == whole['module.weight']


def test_other_wrappers_are_averaged_after_each_batch(tmp_path):
    assert train(tmp_path, [GOOD, BETTER], 2, wrapper='mmengine.OptimWrapper')['steps'] == 2
