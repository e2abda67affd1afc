from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn import SyncBatchNorm
from torch.nn.modules.batchnorm import _NormBase

from mmcrowd.registry import HOOKS


@HOOKS.register_module()
class SyncNormHook(Hook):
    """After each step, give all processes the mean of their statistics of normalisation.

    Each process of a distributed training has running statistics of its own images, and a
    checkpoint holds those of the first process alone: what is validated then is another network in
    each process and none of them the one that is saved; layers with fixed statistics
    (:class:`~mmcrowd.engine.hooks.FreezeNormHook`) even train with others; and a resumed run goes
    on from statistics that only one process had. The mean of all is also the better estimate.

    It takes one small reduction a step, and none with ``sync_bn``, for layers whose statistics are
    fixed, or in one process. Averaged weights (``EMAHook``) follow, as this comes before them.
    Variances are averaged as they are, without that between the means, as by MMEngine's
    ``SyncBuffersHook``, which does it once an epoch.
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook

    def before_train(self, runner: Runner) -> None:
        """Find the layers."""
        layers = runner.model.modules() if get_world_size() > 1 else ()
        self._layers = [
            layer
            for layer in layers
            if isinstance(layer, _NormBase)
            and not isinstance(layer, SyncBatchNorm)
            and layer.running_mean is not None
        ]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None):
        """Average what has changed in this step."""
        layers = [layer for layer in self._layers if layer.training]
        if layers:
            all_reduce_params(
                [s for layer in layers for s in (layer.running_mean, layer.running_var)], op='mean'
            )
