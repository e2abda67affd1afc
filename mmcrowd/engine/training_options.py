"""Options of ``train.py`` for large trainings, each as a change of the config."""

import argparse
import inspect

from mmengine.config import Config
from mmengine.device import get_device

from mmcrowd.registry import MODELS

from .config import read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`apply` takes.

    They are ``--accumulate``, ``--activation-checkpointing``, ``--ema``, ``--sync-bn``,
    ``--auto-scale-lr``, ``--fp16`` and ``--compile``.

    Args:
        parser: Parser of the tool.
    """
    group = parser.add_argument_group('large trainings, see docs/distributed.md')
    group.add_argument(
        '--accumulate', type=int, metavar='N', help='add up the gradients of N batches for a step'
    )
    group.add_argument(
        '--activation-checkpointing',
        action='store_true',
        help='less memory for more time: the backbone computes twice what it does not keep',
    )
    group.add_argument(
        '--ema',
        nargs='?',
        type=float,
        const=0.0002,
        metavar='MOMENTUM',
        help='test moving averages of the weights, with the statistics of normalisation; default '
        'momentum: 0.0002',
    )
    group.add_argument(
        '--sync-bn',
        action='store_true',
        help='normalise batches over all processes (GPUs only); in one process as without it',
    )
    group.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='multiply the learning rate by processes * batch size / batch size of the config file',
    )
    group.add_argument(
        '--fp16',
        action='store_true',
        help='mixed precision: float16 with a scale of the loss (GPUs only); --bf16 needs none',
    )
    group.add_argument('--compile', action='store_true', help='compile the training step')


def apply(cfg: Config, args: argparse.Namespace) -> None:
    """Change a config by the options of :func:`add_arguments`, in place.

    Args:
        cfg: Config of the run.
        args: The parsed command line, with ``config``.

    Raises:
        ValueError: A number is not positive, the backbone cannot compute activations again, or
            float16 is asked for without a GPU.
    """
    if args.accumulate is not None:
        if args.accumulate < 1:
            raise ValueError(f'--accumulate {args.accumulate}: expected at least 1')
        cfg.optim_wrapper.accumulative_counts = args.accumulate
    if args.activation_checkpointing:
        _require_checkpointing(cfg.model.backbone.type)
        cfg.model.backbone.with_cp = True
    if args.ema is not None:
        _average(cfg, args.ema)
    if args.sync_bn:
        cfg.sync_bn = 'torch'
    if args.auto_scale_lr:
        # A config's own number, or what its learning rate was chosen for: one process, no options.
        base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
        base = base or read_config(args.config).train_dataloader.batch_size
        cfg.auto_scale_lr = dict(enable=True, base_batch_size=base)
    if args.fp16:
        if get_device() == 'cpu':
            raise ValueError('--fp16 needs a GPU; --bf16 runs everywhere')
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
    if args.compile:
        cfg.compile = cfg.get('compile') or True


def _require_checkpointing(backbone: str | type) -> None:
    """See that a backbone has the argument ``with_cp``, itself or by ``**kwargs`` of its base."""
    class_ = MODELS.get(backbone) if isinstance(backbone, str) else backbone
    if class_ is None:
        return  # building it says so
    for base in class_.__mro__:
        if (constructor := vars(base).get('__init__')) is None:
            continue
        parameters = inspect.signature(constructor).parameters
        if 'with_cp' in parameters:
            return
        if all(each.kind is not each.VAR_KEYWORD for each in parameters.values()):
            break
    raise ValueError(
        f'--activation-checkpointing: the backbone {class_.__name__} has no argument with_cp; VGG, '
        'CSRNet, HRNet, ResNet and EfficientNet have it'
    )


def _average(cfg: Config, momentum: float) -> None:
    """Put an ``EMAHook`` into the config, in place of one that it may have."""
    if not 0 < momentum < 1:
        raise ValueError(f'--ema {momentum}: expected a momentum between 0 and 1')
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook['type'] != 'EMAHook']
    # Averaged weights need averaged statistics of the normalisation.
    cfg.custom_hooks = [*hooks, dict(type='EMAHook', momentum=momentum, update_buffers=True)]
