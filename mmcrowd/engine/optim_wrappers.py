"""MMEngine's optimizer wrappers, which take no step with a gradient that is not finite.

The names are MMEngine's, so that a config with ``type='OptimWrapper'`` or ``'AmpOptimWrapper'``
gets these wherever ``default_scope='mmcrowd'``.
"""

import math
from collections.abc import Sequence
from typing import Any

from mmengine import optim
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from mmcrowd.registry import OPTIM_WRAPPERS


def clip_shards(parameters: Sequence[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Clip gradients by their norm over the shards of all processes, each of which calls this.

    Args:
        parameters: The shards of this process, with gradients; perhaps none.
        max_norm: Largest norm.
        norm_type: 2. Defaults to 2.0.

    Returns:
        The norm before clipping, a scalar, the same in all processes. It is not finite if a
        gradient of any process is not.

    Raises:
        ValueError: Another norm is asked for.
    """
    if norm_type != 2:
        raise ValueError(f'clip_grad.norm_type={norm_type}: expected 2 for sharded parameters')
    square = clip_grad_norm_(parameters, math.inf) ** 2
    all_reduce(square)
    norm = square.sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1)
    for parameter in parameters:
        parameter.grad.mul_(scale.to(parameter.grad))  # type: ignore[union-attr]
    return norm


class FiniteSteps:
    """Part of an optimizer wrapper that measures the gradient and says whether it is finite.

    A loss that is not finite makes the gradients NaN, whatever they would have been, and they stay
    so through gradient accumulation and the mean over processes. With DistributedDataParallel all
    processes hence see the same and skip the step together, without a message of their own. Of
    sharded parameters (FSDP) each process has its own shards; the norm is that of all of them.

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
        groups = self.optimizer.param_groups  # type: ignore[attr-defined]
        parameters = [parameter for group in groups for parameter in group['params']]
        # So FSDP marks those that it has sharded.
        is_sharded = any(getattr(parameter, '_fsdp_flattened', False) for parameter in parameters)
        clip_norm = clip_shards if is_sharded else clip_grad_norm_
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        if self.grad_name == 'grad_norm':  # type: ignore[attr-defined]
            norm = clip_norm(parameters, **self.clip_grad_kwargs)  # type: ignore[attr-defined]
        else:
            norm = clip_norm(parameters, math.inf)
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
