import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.fileio import dump
from mmengine.runner import Runner

from mmcrowd.fileio.files import printable, write_atomic
from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class LoggerHook(hooks.LoggerHook):
    """MMEngine's ``LoggerHook``, with files that one process writes.

    In a distributed run MMEngine writes the metrics of a test, ``TIMESTAMP/TIMESTAMP.json``, in
    every process, all to one file at once, which may leave no JSON; and with ``out_dir`` every
    process copies the logs, and with ``keep_local=False`` removes them while others still copy.
    Here the first process does both, and the metrics appear whole or not at all. Scalars that
    cannot be written, since the disk is full for example, are one error in the log, and the
    training goes on. A log file that cannot be written is one line on stderr, see
    :func:`tell_once`.

    The name is MMEngine's, so that ``type='LoggerHook'``, and a config that names no logger, get
    this class wherever ``default_scope='mmcrowd'``. It takes the same arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._is_told = False

    def before_run(self, runner: Runner) -> None:
        """Prepare the folder of the logs and the log file."""
        super().before_run(runner)
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.FileHandler):
                tell_once(handler)

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


def tell_once(handler: logging.FileHandler) -> None:
    """Let a log file that cannot be written be one line on stderr, in place.

    Python prints a traceback for each line of the log that a handler cannot write. The lines
    themselves are on the terminal too, and in the file as soon as there is room again.

    Args:
        handler: Handler of the file.
    """
    is_told = False

    def handle_error(record: logging.LogRecord) -> None:
        nonlocal is_told
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            type(handler).handleError(handler, record)
        elif not is_told:
            is_told = True
            text = f'{handler.baseFilename}: the log cannot be written ({error}); the run goes on'
            with suppress(OSError):  # stderr may be a file on the same disk
                print(printable(text), file=sys.stderr)

    handler.handleError = handle_error  # type: ignore[method-assign]
