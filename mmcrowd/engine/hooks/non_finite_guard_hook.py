import math
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """See to it that a loss or gradient that is not finite leaves no trace, and does not go on.

    The optimizer wrapper skips the step (:class:`~mmcrowd.engine.optim_wrappers.FiniteSteps`). This
    hook puts back the buffers, such as the statistics of batch normalisation, that the forward pass
    has spoilt, logs the images, and ends the training after some such steps in a row. The model is
    then as it was before them. How many steps were skipped is in the message hub, and so in
    checkpoints, as ``skipped_steps``.

    With gradient accumulation a step has the images of several batches, and all of them are
    skipped. In a distributed run all processes skip together, and the images are those of the
    processes whose loss is not finite, or else of all. Other optimizer wrappers than ours take
    their steps as ever, which is logged once.

    Args:
        max_in_a_row: So many steps in a row end the training. The loss scaler of
            ``AmpOptimWrapper`` skips a few at the start while it looks for its scale. Defaults to
            20.

    Raises:
        ValueError: ``max_in_a_row`` is less than 1.
        RuntimeError: In training, after ``max_in_a_row`` steps.
    """

    # Before other hooks see the buffers, such as EMAHook.
    priority = 'HIGH'

    def __init__(self, max_in_a_row: int = 20):
        if max_in_a_row < 1:
            raise ValueError(f'max_in_a_row={max_in_a_row!r}, expected at least 1')
        self.max_in_a_row = max_in_a_row
        self._in_a_row = 0
        self._is_active = False
        self._buffers: list[tuple[Tensor, Tensor]] = []
        # Since the last step.
        self._batches: list[tuple[list[str], Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        self._is_active = hasattr(runner.optim_wrapper, 'is_finite')
        if not self._is_active:
            name = type(runner.optim_wrapper).__name__
            runner.logger.warning(
                f'NonFiniteGuardHook: {name} does not say whether gradients are finite, so that '
                "steps with others are taken; optim_wrapper=dict(type='OptimWrapper') skips them"
            )
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]

    @torch.no_grad()
    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if self._is_active and runner.optim_wrapper.should_update():  # the last batch ended a step
            self._batches.clear()
            for buffer, copy in self._buffers:
                copy.copy_(buffer)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if not self._is_active:
            return
        self._batches.append((_image_ids(data_batch), (outputs or {}).get('loss', torch.zeros(()))))
        if not runner.optim_wrapper.should_update():
            return
        if runner.optim_wrapper.is_finite:
            self._in_a_row = 0
        else:
            self._report(runner)

    @torch.no_grad()
    def _report(self, runner: Runner) -> None:
        for buffer, copy in self._buffers:
            buffer.copy_(copy)
        own = [(ids, float(loss)) for ids, loss in self._batches]
        batches = [batch for process in all_gather_object(own) for batch in process]
        broken = [batch for batch in batches if not math.isfinite(batch[1])]
        ids = ', '.join(name for names, _ in broken or batches for name in names)
        reason = f'a loss of {broken[0][1]}' if broken else 'a gradient that is not finite'
        self._in_a_row += 1
        total = runner.message_hub.runtime_info.get('skipped_steps', 0) + 1
        runner.message_hub.update_info('skipped_steps', total)
        runner.logger.warning(
            f'step {runner.iter + 1} is skipped for {reason}, image ids: {ids}; {self._in_a_row} '
            f'in a row, {total} in all'
        )
        if self._in_a_row >= self.max_in_a_row:
            raise RuntimeError(
                f'{self._in_a_row} steps in a row had a loss or gradient that is not finite, the '
                f'last, {runner.iter + 1}, {reason}, image ids: {ids}; the training ends at this '
                'limit (default_hooks.non_finite_guard.max_in_a_row), and checkpoints are from '
                'before; a lower learning rate or clipping (optim_wrapper.clip_grad.max_norm) may '
                'help'
            )


def _image_ids(data_batch: Any) -> list[str]:
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [str(sample.get('img_id', sample.get('img_path', '?'))) for sample in samples]
