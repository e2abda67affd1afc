"""Train a model."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dist import get_world_size
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from mmcrowd import command_line
from mmcrowd.engine.config import read_config
from mmcrowd.engine.distributed import prepare_distributed
from mmcrowd.engine.loaders import require_batch
from mmcrowd.engine.open_files import allow_open_files
from mmcrowd.engine.pretrained import fetch_pretrained


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file, or mmcrowd::NAME for one of the package')
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints; default: ./work_dirs/<config name>'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or without a value from the last one in the work dir',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: bfloat16 on every device',
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
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # Given by older launchers; newer ones set the variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and lay the command line over it."""
    cfg = read_config(args.config, args.cfg_options, args.data_root)
    cfg.launcher = args.launcher
    cfg.work_dir = (
        args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(cfg.filename).stem))
    )
    if args.resume:
        checkpoint = _find_last(cfg.work_dir) if args.resume == 'auto' else args.resume
        # Where there is nothing yet to go on from, training starts as without the option.
        cfg.resume = checkpoint is not None
        cfg.load_from = checkpoint or cfg.get('load_from')
    if args.amp:
        cfg.model.precision = 'bf16'
    return cfg


def _find_last(work_dir: str) -> str | None:
    """The last checkpoint of a work dir, also of one that was moved, or None."""
    named = find_latest_checkpoint(work_dir)
    if named is None:
        return None
    beside = Path(work_dir, Path(named).name)
    return str(beside) if beside.is_file() else named


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    allow_open_files()
    cfg = load_config(args)
    prepare_distributed(cfg)
    fetch_pretrained(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if runner.train_loop is not None:  # otherwise the runner says what the config lacks
        require_batch(cfg.train_dataloader, len(runner.train_dataloader.dataset), get_world_size())
    runner.train()


if __name__ == '__main__':
    command_line.run(main)
