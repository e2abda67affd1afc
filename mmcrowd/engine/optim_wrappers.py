"""MMEngine's optimizer wrappers, which take no step with a gradient that is not finite.

The names are MMEngine's, so that a config with ``type='OptimWrapper'`` or ``'AmpOptimWrapper'``
gets these wherever ``default_scope='mmcrowd'``.
"""

import math
from typing import Any

from mmengine import optim
from mmengine.logging import MessageHub
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from mmcrowd.registry import OPTIM_WRAPPERS


class FiniteSteps:
    """Part of an optimizer wrapper that measures the gradient and says whether it is finite.

    A loss that is not finite makes the gradients NaN, whatever they would have been, and they stay
    so through gradient accumulation and the mean over processes. With DistributedDataParallel all
    processes hence see the same and skip the step together, without a message of their own. Of
    sharded parameters (FSDP) each process sees its own shards.

    The norm of the gradient is logged as ``grad_norm``, before clipping. To know it, the host waits
    for the device once in a step, as MMEngine does for each loss anyway.

    Args:
        clip_grad: Arguments of clipping, see :class:`mmengine.optim.OptimWrapper`. Defaults to
            None, no clipping.
        kwargs: Further arguments of the wrapper.

    Attributes:
        is_finite: Whether the gradient of the last step was; if not, it was skipped.
    """

    def __init__(self, *args: Any, clip_grad: dict | None = None, **kwargs: Any):
        clip_grad = clip_grad or dict(max_norm=math.inf)
        super().__init__(*args, clip_grad=clip_grad, **kwargs)  # type: ignore[call-arg]
        self.is_finite = True

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add to the gradients; NaN for a loss that is not finite."""
        # One, or NaN.
        super().backward(loss, gradient=loss.detach() * 0 + 1, **kwargs)  # type: ignore[misc]

    def _clip_grad(self) -> None:
        parameters = [
            parameter
            for group in self.optimizer.param_groups  # type: ignore[attr-defined]
            for parameter in group['params']
            if parameter.grad is not None
        ]
        if self.grad_name == 'grad_norm':  # type: ignore[attr-defined]
            norm = clip_grad_norm_(parameters, **self.clip_grad_kwargs)  # type: ignore[attr-defined]
        else:
            norm = clip_grad_norm_(parameters, math.inf)
            self.clip_func(parameters, **self.clip_grad_kwargs)  # type: ignore[attr-defined]
        value = float(norm)
        self.is_finite = math.isfinite(value)
        if self.is_finite:
            MessageHub.get_current_instance().update_scalar('train/grad_norm', value)


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(FiniteSteps, optim.OptimWrapper):
    """MMEngine's wrapper with :class:`FiniteSteps`."""

    def step(self, **kwargs: Any) -> None:
        """Step, unless the gradient is not finite."""
        self._clip_grad()
        if self.is_finite:
            self.optimizer.step(**kwargs)


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(FiniteSteps, optim.AmpOptimWrapper):
    """MMEngine's wrapper for mixed precision with :class:`FiniteSteps`.

    Its loss scaler becomes smaller after a step that is skipped, also in one that finds the scale.
    """

    def step(self, **kwargs: Any) -> None:
        """Step, unless the gradient is not finite, and adapt the scale of the loss."""
        self.loss_scaler.unscale_(self.optimizer)
        self._clip_grad()
        if self.is_finite:
            self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self._scale_update_param)
