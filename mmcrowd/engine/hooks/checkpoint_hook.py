import os
from collections import deque
from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmcrowd.fileio.atomic_backend import AtomicBackend
from mmcrowd.fileio.files import remove_partial_files, write_atomic
from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """MMEngine's ``CheckpointHook``, with whole checkpoints on the disk at any moment.

    - A checkpoint is written beside its place, brought to the disk and then put there. After it
      ``last_checkpoint`` is written in the same way, and only then the outdated checkpoint is
      removed; likewise the former best one. MMEngine removes before it saves, and writes in place.
    - A run that goes on from a checkpoint in another folder leaves the best one there alone.
    - What a killed run has left half written is removed at the next start.
    - A checkpoint that cannot be saved, since the disk is full for example, is an error in the log,
      and the training goes on; those from before stay. The epoch does not count for the best one.
      At the end of the training one that is missing is tried again, and if that fails, the
      training fails.

    The name is MMEngine's, so that ``type='CheckpointHook'``, and a config that names no hook of
    checkpoints, get this class wherever ``default_scope='mmcrowd'``. It takes the same arguments.
    With files elsewhere than in folders (``backend_args``, ``out_dir='s3://...'``), or with
    DeepSpeed's strategy, their writer decides whether they appear whole.

    Raises:
        OSError: In ``after_train``, if the last checkpoint cannot be saved.
    """

    backend_args: dict | None
    keep_ckpt_ids: deque[int]
    # MMEngine sets one of them, for one or several metrics of ``save_best``.
    best_ckpt_path: str | None
    best_ckpt_path_dict: dict[str, str | None]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # Epoch or iteration of a checkpoint that could not be saved, until one was.
        self._missing: int | None = None

    def before_train(self, runner: Runner) -> None:
        """Look what is there from a run before."""
        is_local = '://' not in str(self.out_dir or '') and self.file_client_args is None
        if is_local and self.backend_args is None:
            self.backend_args = dict(backend='mmcrowd.atomic')
        super().before_train(runner)
        if self.backend_args == dict(backend='mmcrowd.atomic'):
            self.file_backend = _LaterRemoval()
            if is_main_process():
                remove_partial_files(self.out_dir, '*.pth')
                remove_partial_files(runner.work_dir, 'last_checkpoint')
        self._leave_files_of_others()
        if runner._resume and (last := runner.message_hub.runtime_info.get('last_ckpt')):
            # So that it is saved again with a best score that is known only now.
            self.last_ckpt = self.file_backend.join_path(self.out_dir, Path(last).name)

    def _leave_files_of_others(self) -> None:
        """Keep the best checkpoint of a run in another folder, which this one goes on from.

        MMEngine removes it as soon as this run has a better one.
        """
        folder = os.path.abspath(self.out_dir)

        def own(path: str | None) -> str | None:
            return path if path and os.path.dirname(os.path.abspath(path)) == folder else None

        if hasattr(self, 'best_ckpt_path'):
            self.best_ckpt_path = own(self.best_ckpt_path)
        if hasattr(self, 'best_ckpt_path_dict'):
            self.best_ckpt_path_dict = {k: own(v) for k, v in self.best_ckpt_path_dict.items()}

    def after_train(self, runner: Runner) -> None:
        """Save again what could not be saved, and publish."""
        if self._missing is not None:
            step = runner.epoch if self.by_epoch else runner.iter
            try:
                self._save(runner, step, dict(epoch=runner.epoch, iter=runner.iter))
            except OSError as error:
                raise OSError(
                    f'the last checkpoint of the training, {self.out_dir}/'
                    f'{self.filename_tmpl.format(step)}, could not be saved ({error}); make room '
                    f'and go on with --resume from {self.last_ckpt or "the start"}'
                ) from error
        super().after_train(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self._remove_outdated()  # best ones, since the new one is there
        try:
            self._save(runner, step, meta)
        except OSError as error:
            self._missing = step
            runner.logger.error(
                f'{self.filename_tmpl.format(step)} could not be saved ({error}); the training '
                f'goes on, the last checkpoint is {self.last_ckpt or "none"}'
            )

    def _save(self, runner: Runner, step: int, meta: dict) -> None:
        name = self.filename_tmpl.format(step)
        path = self.file_backend.join_path(self.out_dir, name)
        hub = runner.message_hub
        before = dict(hub.runtime_info)
        kept = list(self.keep_ckpt_ids) if self.max_keep_ckpts > 0 else []
        if self.max_keep_ckpts > 0:
            if kept[-1:] != [step]:
                kept.append(step)
            # With the outdated one: if it stays for a kill, a resumed run removes it at its start.
            hub.update_info('keep_ckpt_ids', kept)
        hub.update_info('last_ckpt', path)
        try:
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                write_atomic(Path(runner.work_dir, 'last_checkpoint'), path, sync=True)
        except OSError:
            _restore(runner, before, ('keep_ckpt_ids', 'last_ckpt'))
            raise
        self.last_ckpt = path
        self._missing = None
        if self.max_keep_ckpts > 0:
            outdated = kept[: -self.max_keep_ckpts]
            self.keep_ckpt_ids = deque(kept[-self.max_keep_ckpts :], self.max_keep_ckpts)
            hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
            if is_main_process():
                self._remove(self.filename_tmpl.format(each) for each in outdated)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        before = dict(runner.message_hub.runtime_info)
        own = {key: value for key, value in vars(self).items() if key.startswith('best_ckpt_path')}
        own = {key: dict(v) if isinstance(v, dict) else v for key, v in own.items()}
        try:
            super()._save_best_checkpoint(runner, metrics)
            self._remove_outdated()
        except OSError as error:
            if isinstance(self.file_backend, _LaterRemoval):
                self.file_backend.outdated.clear()
            for key, value in own.items():
                setattr(self, key, value)
            hub = runner.message_hub
            _restore(runner, before, [key for key in hub.runtime_info if key.startswith('best_')])
            runner.logger.error(
                f'the best checkpoint could not be saved ({error}); the training goes on with the '
                'former best one'
            )

    def _remove(self, names: Any) -> None:
        for name in names:
            path = self.file_backend.join_path(self.out_dir, name)
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):  # of DeepSpeed
                self.file_backend.rmtree(path)
        self._remove_outdated()

    def _remove_outdated(self) -> None:
        if isinstance(self.file_backend, _LaterRemoval):
            self.file_backend.remove_outdated()


class _LaterRemoval(AtomicBackend):
    """Files whose removal waits until the new ones are there."""

    def __init__(self) -> None:
        self.outdated: list[str] = []

    def remove(self, filepath: str | Path) -> None:
        self.outdated.append(str(filepath))

    def remove_outdated(self) -> None:
        while self.outdated:
            Path(self.outdated.pop()).unlink(missing_ok=True)


def _restore(runner: Runner, before: dict, keys: Any) -> None:
    for key in keys:
        if key in before:
            runner.message_hub.update_info(key, before[key])
        elif key in runner.message_hub.runtime_info:
            runner.message_hub.pop_info(key)
