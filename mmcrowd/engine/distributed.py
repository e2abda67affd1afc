"""Several processes on a machine without an accelerator.

MMEngine starts a distributed run by giving each process a CUDA device and by handing that device to
DistributedDataParallel. Without a GPU both steps fail, although nothing else in a run needs one.
When the process group exists already, MMEngine skips the first step, and a model wrapper without
device ids avoids the second; samplers, metrics and checkpoints then work as on GPUs.
"""

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import is_distributed
from torch.distributed import init_process_group


def prepare_distributed(cfg: Config) -> None:
    """Make a distributed run possible on CPUs; call it before the runner is built.

    With ``cfg.launcher='none'`` or on a machine with an accelerator nothing is done. Otherwise the
    gloo process group is created from the variables that ``torchrun`` sets (``RANK``,
    ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT``) and ``cfg.model_wrapper_cfg`` is completed.

    Args:
        cfg: Config of the run, changed in place.

    Raises:
        ValueError: If the launcher is not ``'pytorch'``, the only one that starts gloo processes.
    """
    if cfg.launcher == 'none' or get_device() != 'cpu':
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f"launcher must be 'pytorch' on a machine without an accelerator, got {cfg.launcher!r}"
        )
    if not is_distributed():
        init_process_group('gloo')
    cfg.model_wrapper_cfg = ConfigDict(
        {
            'type': 'MMDistributedDataParallel',
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
            **(cfg.get('model_wrapper_cfg') or {}),
            'device_ids': None,
        }
    )
