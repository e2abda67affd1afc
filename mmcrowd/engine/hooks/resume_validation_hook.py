from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class ResumeValidationHook(Hook):
    """Validate first, where a run resumes from an epoch whose validation was due.

    MMEngine saves the checkpoint of an epoch before it validates the epoch, and goes on with the
    next one when it resumes: a run that was killed in between would never know how good that epoch
    was, and might keep another checkpoint as its best than a run in one go. A validation that was
    done already is repeated, with the same result.

    A checkpoint of the middle of an epoch (:class:`ResumeEpochHook`) is not validated. Training by
    iterations is left alone.
    """

    # The hook of the checkpoints, which keeps the best one, has to be ready.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._ends_epoch = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta') or {}
        batches = meta.get('batches_of_epoch')
        self._ends_epoch = not batches or meta['iter'] == meta['epoch'] * batches

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not self._ends_epoch:
            return
        is_resumed = isinstance(loop, EpochBasedTrainLoop) and loop.epoch > 0
        if not is_resumed or runner.val_loop is None or loop.epoch < loop.val_begin:
            return
        loop._decide_current_val_interval()
        if loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs:
            runner.val_loop.run()
