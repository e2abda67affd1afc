import time

import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """End a training so that it is through within a number of seconds.

    After each epoch (each iteration, for training by iterations) the hook asks whether one more of
    the longest one so far would fit, with the longest validation so far before and after it. If
    not, the epoch becomes the last one: the runner's own hooks save its checkpoint, it is
    validated, and the training ends as if ``max_epochs`` had been reached. A run that resumes from
    there goes on to the ``max_epochs`` of its config, or to its own limit.

    The time counts from the construction of the hook, which is when the runner is built. An epoch
    is never cut short, so the first one is trained however long it takes, and how long the first
    validation takes is not known before it.

    Args:
        seconds: Time for the training, positive.

    Raises:
        ValueError: ``seconds`` is not positive.

    Examples:
        In a config, under a name of its own, so that ``--cfg-options
        default_hooks.time_limit.seconds=600`` sets it:

        .. code:: python

            default_hooks = dict(time_limit=dict(type='TimeLimitHook', seconds=3600))
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f'TimeLimitHook: seconds must be positive, but got {seconds}')
        self.seconds = seconds
        self._built = time.monotonic()
        self._begun = self._built
        self._longest = dict(train=0.0, val=0.0)

    def before_train_epoch(self, runner: Runner) -> None:
        self._begun = time.monotonic()

    def after_train_epoch(self, runner: Runner) -> None:
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop) and loop.epoch + 1 < loop.max_epochs:
            self._end(runner, '_max_epochs', loop.epoch + 1)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._begun = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop) and loop.iter + 1 < loop.max_iters:
            self._end(runner, '_max_iters', loop.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        self._begun = time.monotonic()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._measure('val')

    def _measure(self, part: str) -> None:
        self._longest[part] = max(self._longest[part], time.monotonic() - self._begun)

    def _end(self, runner: Runner, attribute: str, done: int) -> None:
        """Make what has just been done the last step, if no further one fits.

        Args:
            runner: The runner; the processes of a distributed run agree.
            attribute: Of the training loop, how many epochs or iterations there are.
            done: How many are done.
        """
        self._measure('train')
        spent = time.monotonic() - self._built
        needed = self._longest['train'] + 2 * self._longest['val']
        is_last = torch.tensor([float(spent + needed > self.seconds)])
        broadcast(is_last)
        if is_last.item():
            setattr(runner.train_loop, attribute, done)
            runner.logger.info(
                f'TimeLimitHook: {spent:.0f} of {self.seconds:g} s are spent and one more would '
                f'take {needed:.0f} s; the training ends here'
            )
