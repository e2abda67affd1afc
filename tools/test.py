"""Test a model: print its metrics, and write its predictions and pictures if asked."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmcrowd import command_line
from mmcrowd.engine.config import read_config
from mmcrowd.engine.distributed import prepare_distributed
from mmcrowd.engine.open_files import allow_open_files
from mmcrowd.engine.pretrained import fetch_pretrained
from mmcrowd.evaluation.metrics.results_writer import ResultsWriter


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file, or mmcrowd::NAME for one of the package')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--work-dir', help='folder of logs and metrics; default: ./work_dirs/<config name>'
    )
    parser.add_argument(
        '--out',
        help='write counts and points of every image, predicted and true, to this .json file, or '
        'the whole predictions, with the density maps, to this .pkl file',
    )
    parser.add_argument(
        '--submission-dir',
        help='write count.txt and, if the model predicts points, loc.txt to this folder, as the '
        'NWPU-Crowd benchmark takes them',
    )
    parser.add_argument('--show-dir', help='write pictures of the predictions to this folder')
    parser.add_argument(
        '--interval',
        type=int,
        default=1,
        help='draw every INTERVAL-th image of the data set; default: 1',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: bfloat16 on every device'
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
        help='replace entries of the config, e.g. test_dataloader.num_workers=0; '
        'lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # Given by older launchers; newer ones set the variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    if args.out and not args.out.endswith(('.json', '.pkl', '.pickle')):
        parser.error(f'--out must end in .json, .pkl or .pickle, got {args.out}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and lay the command line over it."""
    cfg = read_config(args.config, args.cfg_options, args.data_root)
    cfg.launcher = args.launcher
    cfg.load_from = args.checkpoint
    cfg.resume = False
    cfg.work_dir = (
        args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(cfg.filename).stem))
    )
    if args.amp:
        cfg.model.precision = 'bf16'
    if args.show_dir:
        hook = dict(
            type='CrowdVisualizationHook',
            enable=True,
            interval=args.interval,
            max_images=None,
            out_dir=args.show_dir,
        )
        cfg.merge_from_dict({'default_hooks.visualization': hook})
    return cfg


def writers(args: argparse.Namespace) -> list[BaseMetric]:
    """Metrics that write the predictions, as the command line asks."""
    metrics = []
    json_file = args.out if args.out and args.out.endswith('.json') else None
    if args.out and not json_file:
        metrics.append(DumpResults(out_file_path=args.out))
    if json_file or args.submission_dir:
        metrics.append(ResultsWriter(out_file=json_file, submission_dir=args.submission_dir))
    return metrics


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    allow_open_files()
    cfg = load_config(args)
    prepare_distributed(cfg)
    fetch_pretrained(cfg, training=False)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.test_evaluator.metrics.extend(writers(args))
    runner.test()


if __name__ == '__main__':
    command_line.run(main)
