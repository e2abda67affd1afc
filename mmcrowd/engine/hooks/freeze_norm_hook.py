from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class FreezeNormHook(Hook):
    """From some epoch on, train with the statistics of batch normalisation that a test uses.

    A batch of few crops has statistics of its own, and a test normalises by the average of all
    crops. With fixed statistics the network learns under the conditions of the test. Whether that
    changes the counts depends on the network: ``tools/analysis_tools/compare_crops.py`` measures
    it, and ``docs/looking_at_data.md`` has a pair of runs that it made no difference to.

    In the epoch before, the statistics are averaged evenly over all batches, in place of PyTorch's
    average over the last few, also if a run resumes in the middle of that epoch. Layers whose
    statistics are fixed already (``norm_eval`` or frozen stages of a backbone) stay as they are.

    Args:
        begin: First epoch with fixed statistics, counted from 0. Defaults to 1.

    Raises:
        ValueError: ``begin`` is less than 1; ``norm_eval`` of the backbone fixes the statistics
            from the start.
    """

    def __init__(self, begin: int = 1):
        if begin < 1:
            raise ValueError(f'begin={begin!r}, expected an epoch, 1 or later')
        self.begin = begin

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Prepare the layers; the loops put the whole model into training mode again and again."""
        if runner.epoch < self.begin - 1:
            return
        # Which a checkpoint in the middle of that epoch keeps.
        hub = runner.message_hub
        is_begun = hub.runtime_info.get('norm_averaged_in') == runner.epoch
        hub.update_info('norm_averaged_in', runner.epoch)
        for layer in runner.model.modules():
            if not isinstance(layer, _BatchNorm) or not layer.training:
                continue
            if runner.epoch >= self.begin:
                layer.eval()
            else:
                layer.momentum = None  # an even average
                if not is_begun:
                    layer.reset_running_stats()
