from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class TrainCountHook(Hook):
    """Log the predicted beside the true count of training images, means of each batch.

    ``gt_count`` is the number of points. ``pred_count`` is what the counter's ``batch_counts``
    makes of the results of its head: the sum of a density, the number of proposals that pass, or
    the number of local maxima, with what lies in the padding. Counters whose points are searched on
    the host (connected components, boxes, joined maxima) have no ``pred_count`` in training:
    the search takes time, above all while there is much to find in the map of a network that has
    learned little, and the count of one batch now and then says nothing beside means of all.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._predicted: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, 'batch_counts'):
            return

        def keep(head: nn.Module, inputs: Any, results: Any) -> None:
            if head.training and (counts := model.batch_counts(results)) is not None:
                self._predicted = counts.sum() / len(counts)

        self._handle = model.head.register_forward_hook(keep)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
        if counts := [sample.gt_count for sample in samples if 'gt_count' in sample]:
            runner.message_hub.update_scalar('train/gt_count', sum(counts) / len(counts))
        if self._predicted is not None:
            runner.message_hub.update_scalar('train/pred_count', self._predicted)
        self._predicted = None

    def after_train(self, runner: Runner) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
