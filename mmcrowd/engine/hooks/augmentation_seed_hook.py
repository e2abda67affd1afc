from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import Dataset

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class AugmentationSeedHook(Hook):
    """Tell the training dataset the seed and the epoch, before each epoch.

    The random transforms of a sample are then a function of seed, epoch and image (see
    :meth:`mmcrowd.datasets.BaseCrowdDataset.set_epoch`): a run that was interrupted and resumed
    sees the same samples as one that was not. Left to MMEngine, workers are seeded once at their
    start, so that a resumed run would repeat the draws of the first epoch.

    Training by iterations has no epochs to seed by and is left alone.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            _set_epoch(runner.train_dataloader.dataset, runner.seed, runner.epoch)


def _set_epoch(dataset: Dataset, seed: int, epoch: int) -> None:
    """Pass the epoch through the wrappers (repeat, concatenate) down to datasets that take it."""
    if hasattr(dataset, 'set_epoch'):
        dataset.set_epoch(seed, epoch)
    for inner in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
        if inner is not None:
            _set_epoch(inner, seed, epoch)
