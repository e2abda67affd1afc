"""Train several counters in turn on the same data with the same budget and compare them.

Configs that differ in data, batch size, number of epochs or seed are an error. Below the work dir
every run has its config, and a folder with its log and checkpoints. The best checkpoint on the
validation images is tested once, and ``comparison.md`` is written anew after each run; where a
config and its sister ``NAME_pml`` are both among them, it says what training by PML changes. The
same command resumes where it was interrupted, and commands for other configs can share the work
dir. Made for it are the small counters on EfficientNet-Lite0, whose ImageNet weights
docs/pretrained_weights.md says how to get::

    python tools/analysis_tools/compare_configs.py \\
        configs/{sfcn,ebc,man,steerer,p2pnet}/*_lite0_shb_cpu*.py --work-dir work_dirs/systems_shb
"""

import argparse

from mmcrowd import command_line
from mmcrowd.analysis.config_comparison import compare_configs
from mmcrowd.engine.experiments import RunOptions


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train several counters in turn')
    parser.add_argument('configs', nargs='+', help='configs with the same data and budget')
    parser.add_argument('--work-dir', required=True, help='folder of the runs and the table')
    parser.add_argument(
        '--bf16', '--amp', dest='amp', action='store_true', help='mixed precision: bfloat16'
    )
    parser.add_argument(
        '--data-root',
        help='folder of the dataset, as downloaded or prepared, instead of the one in the configs',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every config'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    options = RunOptions(args.amp, args.cfg_options, data_root=args.data_root)
    print(compare_configs(args.configs, args.work_dir, options))


if __name__ == '__main__':
    command_line.run(main)
