from collections.abc import Iterator
from itertools import islice

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, Sampler

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class ResumeEpochHook(Hook):
    """Go on with the batch after the last one, where a run resumes in the middle of an epoch.

    That is so for checkpoints by iteration, ``CheckpointHook(by_epoch=False)``, for epochs that
    take long. MMEngine would begin the epoch anew. The batches that are done are passed over by
    their numbers; no image of them is read. ``AugmentationSeedHook`` makes the others what they
    would have been.

    If an epoch has another number of batches than before (another batch size, more processes), it
    is begun anew, which is logged. Training by iterations is left alone.
    """

    def __init__(self) -> None:
        self._done = 0
        self._sampler: Sampler | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            checkpoint['meta']['batches_of_epoch'] = len(runner.train_dataloader)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta') or {}
        batches = meta.get('batches_of_epoch')
        if not runner._resume or not batches:
            return
        done = meta['iter'] - meta['epoch'] * batches
        loader = runner.train_dataloader
        if not 0 < done <= batches:
            self._done = 0
        elif len(loader) == batches and isinstance(loader.batch_sampler, BatchSampler):
            self._done = done
        else:
            runner.logger.warning(
                f'{done} of {batches} batches of epoch {meta["epoch"] + 1} were done, but now it '
                f'has {len(loader)} batches; it begins anew'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        if self._done:
            batches = runner.train_dataloader.batch_sampler
            self._sampler = batches.sampler
            batches.sampler = _Rest(self._sampler, self._done * batches.batch_size)
            runner.logger.info(f'{self._done} batches of this epoch are done already')
            self._done = 0

    def after_train_epoch(self, runner: Runner) -> None:
        if self._sampler is not None:
            runner.train_dataloader.batch_sampler.sampler = self._sampler
            self._sampler = None


class _Rest(Sampler):
    """What a sampler gives after its first ``start`` numbers."""

    def __init__(self, sampler: Sampler, start: int):
        self.sampler = sampler
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.sampler), self.start, None)

    def __len__(self) -> int:
        """As long as the whole, so that an epoch has as many batches as ever."""
        return len(self.sampler)  # type: ignore[arg-type]
