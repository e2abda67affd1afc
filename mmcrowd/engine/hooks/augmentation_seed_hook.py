from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmcrowd.datasets import SeededSamples
from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class AugmentationSeedHook(Hook):
    """Make the training samples a function of seed, epoch and place in the training dataset.

    See :class:`~mmcrowd.datasets.SeededSamples`: they are the same for any number of workers, and
    a run that was interrupted and resumed sees the same ones as a run that was not. Left to
    MMEngine, workers are seeded once at their start, so that a resumed run would repeat the draws
    of the first epoch.

    Training by iterations has no epochs to seed by and is left alone.
    """

    def __init__(self) -> None:
        self._samples: SeededSamples | None = None

    def before_train(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._samples = SeededSamples(runner.train_dataloader.dataset, runner.seed)
            self._samples.attach()

    def before_train_epoch(self, runner: Runner) -> None:
        if self._samples is not None:
            self._samples.set_epoch(runner.epoch)

    def after_train(self, runner: Runner) -> None:
        if self._samples is not None:
            self._samples.detach()
            self._samples = None
