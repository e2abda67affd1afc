"""Train one counter with several losses in turn and compare them.

Each loss gets the same config, hence the same data, seed and budget; only ``model.loss`` differs,
taken from ``configs/_base_/losses/NAME.py``. With ``--vary`` every loss is trained with several
values of one other key. Below the work dir every run has its config, and a folder with its log and
checkpoints. The best checkpoint on the validation images is tested once, and ``comparison.md`` and
``comparison.png`` are written anew after each run, with all that are finished. The same command
resumes where it was interrupted. ::

    python tools/analysis_tools/compare_losses.py configs/pml_mcnn_shb.py \\
        --losses l2 bl dmc gl pml --work-dir work_dirs/mcnn_shb

    python tools/analysis_tools/compare_losses.py \\
        configs/annotation_noise/pml_l1_mcnn_shb_cpu.py --losses pml pml_l2 \\
        --vary train_dataloader.dataset.pipeline.1.uniform=0,0.02,0.05 --work-dir work_dirs/noise
"""

import argparse

from mmcrowd import command_line
from mmcrowd.analysis.loss_comparison import compare_losses, known_losses
from mmcrowd.engine.experiments import RunOptions


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a counter with several losses in turn')
    parser.add_argument('config', help='config of the counter, the data and the budget')
    known = known_losses()
    parser.add_argument(
        '--losses',
        nargs='+',
        choices=known,
        default=['l2', 'bl', 'dmc', 'gl', 'pml'],
        metavar='NAME',
        help=f'some of {", ".join(known)}; default: %(default)s',
    )
    parser.add_argument(
        '--vary',
        metavar='KEY=VALUE,VALUE',
        help='train every loss with each of these values of a key of the config',
    )
    parser.add_argument('--work-dir', required=True, help='folder of the runs and the comparison')
    parser.add_argument(
        '--bf16', '--amp', dest='amp', action='store_true', help='mixed precision: bfloat16'
    )
    parser.add_argument(
        '--data-root',
        help='folder of the dataset, as downloaded or prepared, instead of the one in the config',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every loss'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    options = RunOptions(args.amp, args.cfg_options, data_root=args.data_root)
    print(compare_losses(args.config, args.losses, args.work_dir, options, args.vary))


if __name__ == '__main__':
    command_line.run(main)
