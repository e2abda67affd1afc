from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.fileio import dump
from mmengine.runner import Runner

from mmcrowd.fileio.files import write_atomic
from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class LoggerHook(hooks.LoggerHook):
    """MMEngine's ``LoggerHook``, with files that one process writes.

    In a distributed run MMEngine writes the metrics of a test, ``TIMESTAMP/TIMESTAMP.json``, in
    every process, all to one file at once, which may leave no JSON; and with ``out_dir`` every
    process copies the logs, and with ``keep_local=False`` removes them while others still copy.
    Here the first process does both, and the metrics appear whole or not at all. Scalars that
    cannot be written, since the disk is full for example, are one error in the log, and the
    training goes on.

    The name is MMEngine's, so that ``type='LoggerHook'``, and a config that names no logger, get
    this class wherever ``default_scope='mmcrowd'``. It takes the same arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._is_told = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Log a training step, now and then."""
        with self._go_on(runner):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log a validation."""
        with self._go_on(runner):
            super().after_val_epoch(runner, metrics)

    @contextmanager
    def _go_on(self, runner: Runner) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._is_told:
                runner.logger.error(f'scalars could not be logged ({error}); the training goes on')
            self._is_told = True

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the metrics of a test and write them as JSON, arrays as lists."""
        # In all processes, because a log processor may talk to the others.
        tag, text = runner.log_processor.get_log_after_epoch(
            runner, len(runner.test_dataloader), 'test', with_non_scalar=True
        )
        runner.logger.info(text)
        if is_main_process():
            path = Path(runner.log_dir, self.json_log_path)
            write_atomic(path, dump(self._process_tags(tag), file_format='json'))

    def after_run(self, runner: Runner) -> None:
        """Close the visualizer, and copy the logs if there is an ``out_dir``."""
        if is_main_process():
            super().after_run(runner)
        else:
            runner.visualizer.close()
