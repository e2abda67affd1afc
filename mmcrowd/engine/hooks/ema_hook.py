from typing import Any

from mmengine import hooks
from mmengine.runner import Runner

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class EMAHook(hooks.EMAHook):
    """MMEngine's ``EMAHook``, which averages once for each step that is taken.

    MMEngine averages after each batch. So a step that is skipped, since its gradient is not finite
    (:class:`NonFiniteGuardHook`), is averaged too and moves the average towards weights that were
    in it already; and with gradient accumulation the statistics of a batch that is not finite would
    be in the average before the end of the step, when it is known that it is skipped. With
    accumulation ``momentum`` and ``steps`` of the average are hence per step, not per batch.

    Other optimizer wrappers than ours do not say whether they took a step; with them it averages
    after each batch.

    The name is MMEngine's, so that ``type='EMAHook'`` gets this class wherever
    ``default_scope='mmcrowd'``. It takes the same arguments.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Average, if this batch was the last of a step that was taken."""
        wrapper = runner.optim_wrapper
        if hasattr(wrapper, 'is_finite') and not (wrapper.should_update() and wrapper.is_finite):
            return
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
