"""From a command line to the runner: what ``train.py`` and ``test.py`` share.

Arguments, the config under them, and what has to be done before a runner is built: more open
files, processes on a machine without an accelerator, checkpoints that are named by URL.
"""

import argparse
import contextlib
import importlib.util
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch.multiprocessing
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_distributed
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmcrowd.evaluation.metrics import ResultsWriter
from mmcrowd.fileio.checkpoints import WHERE, download_checkpoint, find_damage

from .config import read_config

# The variable in which each launcher tells a process its place on its machine.
LOCAL_RANK = dict(pytorch='LOCAL_RANK', slurm='SLURM_LOCALID', mpi='OMPI_COMM_WORLD_LOCAL_RANK')

# Trackers of experiments by the name of their package.
VIS_BACKENDS = dict(
    tensorboard='TensorboardVisBackend', wandb='WandbVisBackend', mlflow='MLflowVisBackend'
)

# How torch says that a worker is no more.
WORKER_DIED = re.compile(r'DataLoader worker \(pid.*?\) (?:is killed by|exited)[^.\n]*')
# Seconds within which the system says so, when the connection to a worker broke.
DEATH_IS_KNOWN = 5.0

# Tensors of an image with boxes and sigmas that a worker hands over, each of them an open file.
FILES_OF_SAMPLE = 10
# Open files of a batch of 32 such images, two of them ready from each of 4 workers, and as much
# again for whatever else the process has open.
ENOUGH_FILES = 4096
# Some programs visit all numbers that a file might have, so no more than this.
PLENTY_OF_FILES = 65536


# ------------------------------------------------------------------------------ the command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and test have in common.

    They are ``--work-dir``, ``--bf16``, ``--channels-last``, ``--data-root``, ``--cfg-options``,
    ``--launcher`` and, for the launchers that give it, ``--local-rank``.

    Args:
        parser: Parser of the tool, which has the argument ``config`` already.
    """
    parser.add_argument(
        '--work-dir', help='folder of logs and results; default: ./work_dirs/<config name>'
    )
    parser.add_argument(
        '--bf16',
        '--amp',
        dest='amp',
        action='store_true',
        help='mixed precision: bfloat16 on every device (--amp is the older name)',
    )
    parser.add_argument(
        '--channels-last',
        action='store_true',
        help='channels-last memory of the network, which bfloat16 has anyway',
    )
    parser.add_argument(
        '--data-root',
        help='folder of the dataset, as downloaded or prepared, instead of the one in the config',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='replace entries of the config, e.g. train_dataloader.batch_size=4 '
        'model.backbone.init_cfg=None; lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', *LOCAL_RANK], default='none')
    # Given by older launchers; newer ones set the variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and lay the options of :func:`add_arguments` over it.

    Args:
        args: The parsed command line, with ``config``.

    Returns:
        The config, with ``launcher`` and ``work_dir``. The variable ``LOCAL_RANK``, which MMEngine
        looks for, is set where the launcher has not done it.

    Raises:
        FileNotFoundError, ValueError: See :func:`~mmcrowd.engine.config.read_config`.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options, args.data_root)
    cfg.launcher = args.launcher
    cfg.work_dir = (
        args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(cfg.filename).stem))
    )
    if args.amp:
        cfg.model.precision = 'bf16'
    if args.channels_last:
        cfg.model.channels_last = True
    return cfg


def resume(cfg: Config, checkpoint: str = 'auto') -> None:
    """Let a training go on from a checkpoint, in place.

    Args:
        cfg: Config of the run, with ``work_dir``.
        checkpoint: A file, or ``'auto'`` for the last one in the work dir, which may have been
            moved. If it is damaged or missing, the one before it is taken, with a warning. Where
            there is none yet, training starts as without this call. Defaults to 'auto'.

    Raises:
        ValueError: There are checkpoints, and none of them is whole.
    """
    found = _find_last(cfg) if checkpoint == 'auto' else checkpoint
    cfg.resume = found is not None
    cfg.load_from = found or cfg.get('load_from')


def _find_last(cfg: Config) -> str | None:
    work_dir = Path(cfg.work_dir)
    record = work_dir / 'last_checkpoint'
    # MMEngine's own hook leaves it empty when it is killed.
    named = record.read_text(encoding='utf-8').strip() if record.is_file() else ''
    if '://' in named:
        return named
    candidates = [Path(named)] if named else []
    if candidates and (beside := work_dir / candidates[0].name).exists():
        candidates = [beside]
    candidates += _earlier_checkpoints(cfg, candidates[0] if candidates else None)
    damaged = []
    for path in candidates:
        if (damage := find_damage(path)) is not None:
            damaged.append(f'{path} ({damage})')
            continue
        if damaged:
            warnings.warn(f'not readable: {", ".join(damaged)}; going on from {path}', stacklevel=3)
        return str(path)
    if damaged:
        raise ValueError(
            f'{work_dir}: no checkpoint to resume from, not readable: {", ".join(damaged)}; bring '
            f'one back, or remove {record} and these to begin anew'
        )
    return None


def _earlier_checkpoints(cfg: Config, last: Path | None) -> list[Path]:
    """Checkpoints of a run before the last one, the later first; all if there is no last one."""
    hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
    by_epoch = hook.get('by_epoch', True)
    template = hook.get('filename_tmpl') or ('epoch_{}.pth' if by_epoch else 'iter_{}.pth')
    pattern = re.compile(re.escape(template).replace(r'\{\}', r'(\d+)'))
    folder = Path(cfg.work_dir) if last is None or not last.exists() else last.parent
    steps = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := pattern.fullmatch(path.name):
            steps[int(match[1])] = path
    newest = pattern.fullmatch(last.name) if last is not None else None
    # Later ones are of a run before, in the same folder.
    limit = int(newest[1]) if newest else max(steps, default=0) + 1
    return [steps[step] for step in sorted(steps, reverse=True) if step < limit]


def add_vis_backends(cfg: Config, names: Sequence[str]) -> None:
    """Let a run report to experiment trackers too, in place.

    They get what the log has, and the pictures of ``CrowdVisualizationHook``.

    Args:
        cfg: Config of the run, with ``work_dir``, whose last part names the run there.
        names: Keys of ``VIS_BACKENDS``.

    Raises:
        ModuleNotFoundError: The package of one is not installed.
    """
    run = Path(cfg.work_dir).name
    arguments: dict[str, dict] = dict(
        wandb=dict(init_kwargs=dict(project='mmcrowd', name=run)),
        mlflow=dict(exp_name='mmcrowd', run_name=run),
    )
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(
                f'--vis {name}: the package {name} is not installed; pip install {name}'
            )
        backend = dict(type=VIS_BACKENDS[name], **arguments.get(name, {}))
        present = cfg.visualizer.get('vis_backends') or []
        if not any(each['type'] == backend['type'] for each in present):
            cfg.visualizer.vis_backends = [*present, backend]


def draw_predictions(cfg: Config, out_dir: str, interval: int = 1) -> None:
    """Let a test write pictures of what it predicts, in place.

    Args:
        cfg: Config of the run.
        out_dir: Folder of the pictures.
        interval: Every so many-th image of the dataset is drawn. Defaults to 1.
    """
    hook = dict(
        type='CrowdVisualizationHook',
        enable=True,
        interval=interval,
        max_images=None,
        out_dir=out_dir,
    )
    cfg.merge_from_dict({'default_hooks.visualization': hook})


def require_own_weights(cfg: Config) -> None:
    """Let a test refuse a checkpoint of another model, in place.

    Args:
        cfg: Config of the run.
    """
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [*hooks, dict(type='StrictWeightsHook')]


def prediction_writers(out: str | None, submission_dir: str | None) -> list[BaseMetric]:
    """Metrics that write what a test predicts.

    Args:
        out: For a name that ends in ``.json`` the counts and points of every image, for any other
            the whole predictions, as a pickle. None for no such file.
        submission_dir: Folder of the files that the NWPU-Crowd benchmark takes, or None.
    """
    metrics: list[BaseMetric] = []
    json_file = out if out and out.endswith('.json') else None
    if out and not json_file:
        metrics.append(DumpResults(out_file_path=out))
    if json_file or submission_dir:
        metrics.append(ResultsWriter(out_file=json_file, submission_dir=submission_dir))
    return metrics


# --------------------------------------------------------------------------------------- the run


def train(cfg: Config) -> None:
    """Train as the config says.

    Raises:
        FileNotFoundError: If a checkpoint is missing or cannot be downloaded.
        ValueError: If the launcher does not start processes on this machine, or the training images
            fill no batch.
        RuntimeError: If a loader worker dies.
    """
    runner = _build_runner(cfg, training=True)
    if runner.train_loop is not None:  # otherwise the runner says what the config lacks
        num_images = len(runner.train_dataloader.dataset)
        require_batch(cfg.train_dataloader, num_images, get_world_size())
    with _told_of_dead_workers('train', 'go on from the last checkpoint with --resume'):
        runner.train()


def test(cfg: Config, writers: Sequence[BaseMetric] = ()) -> None:
    """Test the checkpoint ``cfg.load_from``.

    Args:
        cfg: Config of the run.
        writers: Further metrics, see :func:`prediction_writers`. Defaults to none.

    Raises:
        FileNotFoundError: If the checkpoint is missing or cannot be downloaded.
        ValueError: If the launcher does not start processes on this machine.
        RuntimeError: If a loader worker dies.
    """
    runner = _build_runner(cfg, training=False)
    runner.test_evaluator.metrics.extend(writers)
    with _told_of_dead_workers('test', 'then test again'):
        runner.test()


@contextlib.contextmanager
def _told_of_dead_workers(loader: str, advice: str) -> Iterator[None]:
    """Say of a loader worker that died what users can do about it."""
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if not (died := WORKER_DIED.search(_reason(error))):
            raise
        raise RuntimeError(
            f'a loader worker died ({died[0]}), most often since the memory of the machine was '
            f'full: fewer workers ({loader}_dataloader.num_workers) or smaller batches take less; '
            f'{advice}'
        ) from error


def _reason(error: Exception) -> str:
    """What an error of a runner says; of a broken connection, why it is broken.

    A worker that dies while it hands over a tensor closes the connection before the signal of its
    death is here. PyTorch's handler of that signal raises in whatever the main thread does.
    """
    if isinstance(error, ConnectionError | EOFError):
        try:
            time.sleep(DEATH_IS_KNOWN)
        except RuntimeError as death:
            return str(death)
    return str(error)


def _build_runner(cfg: Config, training: bool) -> Runner:
    allow_open_files(cfg)
    prepare_distributed(cfg)
    fetch_pretrained(cfg, training)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


# ----------------------------------------------------------------------------------- open files


def allow_open_files(cfg: Config | None = None) -> None:
    """Let the batches of many loader workers wait at the same time; call it before workers start.

    Each tensor of a sample that a worker hands over keeps a file open, several for each image, and
    the usual limit of 1024 is soon reached: ``RuntimeError: received 0 items of ancdata``. The
    limit of this process is raised as far as the system lets it be; where that is not enough,
    tensors are handed over by name, which keeps no file open.

    Windows has no such limit.

    Args:
        cfg: Config whose loaders say how many files that is. Defaults to None, as many as for a
            batch of 32 images and 4 workers.
    """
    try:
        import resource
    except ImportError:
        return
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    wanted = PLENTY_OF_FILES if highest == resource.RLIM_INFINITY else min(PLENTY_OF_FILES, highest)
    if limit < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))
            limit = wanted
    loaders = [] if cfg is None else [cfg.get(f'{s}_dataloader') for s in ('train', 'val', 'test')]
    if limit < max([ENOUGH_FILES, *(_open_files(loader) for loader in loaders if loader)]):
        torch.multiprocessing.set_sharing_strategy('file_system')


def _open_files(loader: Mapping[str, Any]) -> int:
    """Files that the batches of a loader may keep open, while one worker is slow."""
    batches = 1 + loader.get('num_workers', 0) * (loader.get('prefetch_factor') or 2)
    return 1024 + FILES_OF_SAMPLE * (loader.get('batch_size') or 1) * batches


# ------------------------------------------------------------------------------ several processes


def prepare_distributed(cfg: Config) -> None:
    """Make a distributed run possible on CPUs; call it before the runner is built.

    MMEngine starts a distributed run by giving each process a CUDA device and by handing that
    device to DistributedDataParallel. Without a GPU both steps fail, although nothing else in a run
    needs one. When the process group exists already, MMEngine skips the first step, and a model
    wrapper without device ids avoids the second; samplers, metrics and checkpoints then work as on
    GPUs.

    With ``cfg.launcher='none'`` or on a machine with an accelerator nothing is done. Otherwise the
    gloo process group is created from the variables that ``torchrun`` sets (``RANK``,
    ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT``) and ``cfg.model_wrapper_cfg`` is completed, or
    with ``FSDPStrategy`` the device of its wrapper.

    Args:
        cfg: Config of the run, changed in place.

    Raises:
        ValueError: If the launcher is not ``'pytorch'``, the only one that starts gloo processes,
            or normalisation is to be synchronised, which runs on GPUs only.
    """
    if cfg.launcher == 'none' or get_device() != 'cpu':
        return
    if cfg.get('sync_bn'):
        raise ValueError(
            f'sync_bn={cfg.sync_bn!r} needs GPUs; without them each process normalises by itself'
        )
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f"launcher must be 'pytorch' on a machine without an accelerator, got {cfg.launcher!r}"
        )
    if not is_distributed():
        torch.distributed.init_process_group('gloo')
    if (cfg.get('strategy') or {}).get('type') == 'FSDPStrategy':
        cfg.merge_from_dict({'strategy.model_wrapper.device_id': 'cpu'})
        return
    cfg.model_wrapper_cfg = ConfigDict(
        {
            'type': 'MMDistributedDataParallel',
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
            **(cfg.get('model_wrapper_cfg') or {}),
            'device_ids': None,
        }
    )


def require_batch(loader: ConfigDict, num_images: int, num_processes: int = 1) -> None:
    """Make sure that every process of a training has a batch in an epoch.

    Only where ``DefaultSampler`` divides the images: another sampler may repeat them.

    Args:
        loader: ``train_dataloader`` of the config.
        num_images: Length of its dataset.
        num_processes: Number of processes. Defaults to 1.

    Raises:
        ValueError: If the images of a process do not fill one batch and ``drop_last`` drops it.

    Examples:
        >>> sampler = dict(type='DefaultSampler')
        >>> require_batch(ConfigDict(batch_size=4, drop_last=True, sampler=sampler), num_images=4)
    """
    batch_size = loader.get('batch_size', 1)
    share = -(-num_images // num_processes)
    is_divided = loader.get('sampler', {}).get('type') == 'DefaultSampler'
    if is_divided and loader.get('drop_last') and share < batch_size:
        raise ValueError(
            f'train_dataloader.batch_size={batch_size} with drop_last leaves no batch of the '
            f'{share} training images of a process; expected at most {share}'
        )


# ---------------------------------------------------------------------------------- checkpoints


def fetch_pretrained(cfg: Config, training: bool = True) -> None:
    """Download the checkpoints that ``cfg`` names by URL, before anything is built.

    MMEngine downloads them too, but late, and a failure there ends in the error of a socket. Here
    the failure says what to do. The files go where MMEngine looks for them. One process of each
    machine downloads; the others wait for it where the runner first synchronises.

    Args:
        cfg: Config of the run. Looked at are ``load_from``, ``launcher`` and, below ``model``,
            every ``init_cfg``.
        training: Whether the run will initialise the model. Otherwise only ``load_from``
            matters. Defaults to True.

    Raises:
        FileNotFoundError: If a file is missing or a download fails. The message gives the URL, the
            reason, the path where to put the file, and the option that does without it.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher != 'none' and int(os.environ.get(LOCAL_RANK[launcher], 0)) != 0:
        return
    wanted = [('load_from', cfg.get('load_from'))]
    if training:
        wanted.extend(_pretrained_checkpoints(cfg.get('model', {}), 'model'))
    for option, checkpoint in wanted:
        try:
            _require_checkpoint(str(checkpoint or ''))
        except FileNotFoundError as error:
            # The command line has named load_from itself, there is no doing without it.
            without = f', or do without it by `--cfg-options {option}=None`'
            message = str(error) + ('' if option == 'load_from' else without)
            # The chain of sockets behind it would hide the sentence.
            raise FileNotFoundError(message) from None


def _require_checkpoint(checkpoint: str) -> None:
    if checkpoint.startswith(('http://', 'https://')):
        download_checkpoint(checkpoint)
    elif checkpoint and '://' not in checkpoint and not Path(checkpoint).exists():
        raise FileNotFoundError(f'no checkpoint file {checkpoint}: put it there ({WHERE})')


def _pretrained_checkpoints(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield (config key of the ``init_cfg``, checkpoint) for every one below ``node``."""
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, (list, tuple)):
        children = list(enumerate(node))
    else:
        return
    for name, child in children:
        if name != 'init_cfg':
            yield from _pretrained_checkpoints(child, f'{key}.{name}')
            continue
        for init in child if isinstance(child, (list, tuple)) else [child]:
            if init and 'checkpoint' in init:
                yield f'{key}.init_cfg', init['checkpoint']
