import math

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from mmcrowd.engine.hooks import NonFiniteGuardHook
from mmcrowd.registry import OPTIM_WRAPPERS
from mmcrowd.structures import CrowdDataSample
from tests.testing.runs import Toy, make_runner

SGD = dict(type='SGD', lr=1.0)


class State(Hook):
    """Weight and statistics after each step."""

    def __init__(self):
        self.states = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model = runner.model
        values = (model.weight, model.norm.running_mean, model.norm.num_batches_tracked)
        self.states.append([value.item() for value in values])


def samples(*values):
    """One for each value, with its place as id; batches of two."""
    return [
        dict(
            inputs=torch.tensor([value]),
            data_samples=CrowdDataSample(metainfo=dict(img_id=f'IMG_{place}')),
        )
        for place, value in enumerate(values)
    ]


def train(tmp_path, dataset, epochs=1, max_in_a_row=20, **kwargs):
    state = State()
    guard = dict(type='NonFiniteGuardHook', max_in_a_row=max_in_a_row)
    runner = make_runner(
        tmp_path, dataset, epochs, hooks=dict(guard=guard), custom_hooks=[state], **kwargs
    )
    runner.train()
    return runner, state.states


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_step_is_skipped_without_a_trace(tmp_path, capsys, value):
    runner, states = train(tmp_path, samples(1.0, 2.0, value, 0.0, 1.0, 0.0))
    assert [weight for weight, *_ in states] == [3, 3, 4]
    # The loss of the second batch has spoilt the statistics, too.
    assert states[0] == states[1]
    assert [count for *_, count in states] == [1, 1, 2]
    log = capsys.readouterr().out
    assert 'step 2 is skipped for a loss of nan, image ids: IMG_2, IMG_3; 1 in a row, 1' in log
    assert runner.message_hub.get_info('skipped_steps') == 1


class RootGradient(Toy):
    """A finite loss whose gradient is not: that of a root at 0."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        losses = super().forward(inputs, data_samples, mode)
        root = (0 * self.weight * inputs[0]).sum().sqrt() if float(inputs[0]) == 7 else 0
        return dict(loss=losses['loss'] + root)


def test_a_gradient_that_is_not_finite(tmp_path, capsys):
    _, states = train(tmp_path, samples(1.0, 0.0, 7.0, 0.0, 1.0, 0.0), model=RootGradient())
    assert [weight for weight, *_ in states] == [1, 1, 2]
    assert 'step 2 is skipped for a gradient that is not finite' in capsys.readouterr().out


class Masked(Toy):
    """An infinite loss that has no gradient."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        losses = super().forward(inputs, data_samples, mode)
        return dict(loss=losses['loss'] + (math.inf if float(inputs[0]) == 7 else 0))


def test_a_loss_that_is_not_finite_with_a_finite_gradient(tmp_path):
    _, states = train(tmp_path, samples(1.0, 0.0, 7.0, 0.0, 1.0, 0.0), model=Masked())
    assert [weight for weight, *_ in states] == [1, 1, 2]


def test_the_training_ends_after_some_in_a_row(tmp_path):
    # Two in a row, a good one, then three.
    nan, good = [math.nan, 1.0], [1.0, 1.0]
    dataset = samples(*nan, *nan, *good, *nan, *nan, *nan, *good)
    wanted = r'3 steps in a row .* the last, 6, a loss of nan, image ids: IMG_10, IMG_11'
    with pytest.raises(RuntimeError, match=wanted):
        train(tmp_path, dataset, max_in_a_row=3)


def test_accumulated_gradients(tmp_path, capsys):
    """A batch that is not finite spoils the step that it is a part of."""
    dataset = samples(1.0, 0.0, math.nan, 0.0, 2.0, 0.0, 2.0, 0.0)
    wrapper = dict(optimizer=SGD, accumulative_counts=2)
    _, states = train(tmp_path, dataset, optim_wrapper=wrapper)
    assert [weight for weight, *_ in states] == [0, 0, 0, 2]
    assert [count for *_, count in states] == [1, 0, 1, 2]
    assert 'step 2 is skipped for a loss of nan, image ids: IMG_2, IMG_3;' in (
        capsys.readouterr().out
    )


def test_a_wrapper_that_does_not_say(tmp_path, capsys):
    wrapper = dict(type='mmengine.OptimWrapper', optimizer=SGD)
    train(tmp_path, samples(1.0, 0.0), optim_wrapper=wrapper)
    assert 'does not say whether gradients are finite' in capsys.readouterr().out


def test_no_number_in_a_row():
    with pytest.raises(ValueError, match='max_in_a_row=0, expected at least 1'):
        NonFiniteGuardHook(0)


# --------------------------------------------------------------------------------- the wrappers


@pytest.mark.parametrize(
    'clip_grad, expected',
    [
        (None, [3.0, 4.0]),
        (dict(max_norm=1.0), [0.6, 0.8]),
        (dict(type='value', clip_value=3.5), [3.0, 3.5]),
    ],
)
def test_norm_and_clipping(clip_grad, expected):
    parameter = nn.Parameter(torch.zeros(2))
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='OptimWrapper',
            optimizer=torch.optim.SGD([parameter], lr=1.0),
            clip_grad=clip_grad,
        )
    )
    wrapper.update_params((parameter * torch.tensor([3.0, 4.0])).sum())
    torch.testing.assert_close(-parameter.detach(), torch.tensor(expected))
    assert wrapper.message_hub.get_scalar('train/grad_norm').current() == 5
    assert wrapper.is_finite


@pytest.mark.skipif(not torch.cuda.is_available(), reason='AmpOptimWrapper wants a GPU')
def test_mixed_precision(tmp_path, capsys):
    wrapper = dict(type='AmpOptimWrapper', optimizer=SGD, loss_scale=8.0)
    _, states = train(tmp_path, samples(1.0, 2.0, math.nan, 0.0, 1.0, 0.0), optim_wrapper=wrapper)
    assert [weight for weight, *_ in states] == [3, 3, 4]
