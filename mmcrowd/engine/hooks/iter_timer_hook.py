import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from mmengine import hooks
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from mmcrowd.registry import HOOKS

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@HOOKS.register_module()
class IterTimerHook(hooks.IterTimerHook):
    """MMEngine's ``IterTimerHook`` by a steady clock, with the images per second.

    The clock of the day may jump, when it is set or in summer time, and the times and the ETA of
    MMEngine with it. Logged are ``time`` and ``data_time`` in seconds, ``images_per_second`` of all
    processes in training and, where no GPU is, ``memory``, the most that this process has had, in
    MB.

    The name is MMEngine's, so that ``type='IterTimerHook'``, and a config that names no timer, get
    this class wherever ``default_scope='mmcrowd'``.
    """

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self.t = time.monotonic()

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train'
    ) -> None:
        runner.message_hub.update_scalar(f'{mode}/data_time', time.monotonic() - self.t)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | Sequence | None = None,
        mode: str = 'train',
    ) -> None:
        hub = runner.message_hub
        now = time.monotonic()
        seconds = now - self.t
        self.t = now
        hub.update_scalar(f'{mode}/time', seconds)
        if mode == 'train':
            self.time_sec_tot += seconds
            mean = self.time_sec_tot / (runner.iter - self.start_iter + 1)
            hub.update_info('eta', mean * (runner.max_iters - runner.iter - 1))
            self._log_load(runner, data_batch, seconds)
        else:
            loader = runner.val_dataloader if mode == 'val' else runner.test_dataloader
            self.time_sec_test_val += seconds
            mean = self.time_sec_test_val / (batch_idx + 1)
            hub.update_info('eta', mean * (len(loader) - batch_idx - 1))

    def _log_load(self, runner: Runner, data_batch: Any, seconds: float) -> None:
        if isinstance(data_batch, dict) and 'inputs' in data_batch and seconds > 0:
            images = len(data_batch['inputs']) * get_world_size()
            runner.message_hub.update_scalar('train/images_per_second', images / seconds)
        if resource is not None and not torch.cuda.is_available():
            unit = 2**20 if sys.platform == 'darwin' else 2**10
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            runner.message_hub.update_scalar('train/memory', most // unit)
