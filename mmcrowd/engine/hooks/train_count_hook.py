from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class TrainCountHook(Hook):
    """Log the predicted beside the true count of training images, means of each batch.

    ``pred_count`` is the sum of the head's output that the counter counts from (``count_from``),
    with what lies in the padding; ``gt_count`` is the number of points. Counters that count their
    localizer's points have no such sum, and nothing is logged.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._predicted: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        name = getattr(model, 'count_from', None)
        if name is None or name == 'points':
            return

        def keep(head: nn.Module, inputs: Any, results: Any) -> None:
            map_ = results.get(name) if isinstance(results, dict) else results
            if head.training and isinstance(map_, Tensor):
                self._predicted = map_.detach().sum() / len(map_)

        self._handle = model.head.register_forward_hook(keep)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        if self._predicted is None:
            return
        counts = [sample.gt_count for sample in data_batch['data_samples']]
        runner.message_hub.update_scalar('train/pred_count', self._predicted)
        runner.message_hub.update_scalar('train/gt_count', sum(counts) / len(counts))
        self._predicted = None

    def after_train(self, runner: Runner) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
