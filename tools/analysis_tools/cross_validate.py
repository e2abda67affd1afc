"""Cross-validate one config: a model for each fold, and the mean of their errors.

Each fold gets the same config; only ``fold`` differs, an argument of the dataset such as that of
``UCFCC50Dataset``. Its model is selected on the validation images, which are of the other folds,
and tested once on the fold. Below the work dir every fold has its config, and a folder with its
log, checkpoints and ``result.json``. ``cross_validation.md`` and ``cross_validation.json`` are
written anew after each fold, with all that are finished. The same command resumes where it was
interrupted. ::

    python tools/analysis_tools/cross_validate.py configs/pml_vgg19_ucf_cc_50.py \\
        --work-dir work_dirs/ucf_cc_50

The result is what papers report on UCF_CC_50: the mean over the folds of their MAE, and that of
their RMSE. The latter is not the RMSE over the images of all folds, which is larger unless all
folds have the same. The standard deviation is the sample deviation over the folds, with n - 1.
"""

import argparse

from mmcrowd import command_line
from mmcrowd.analysis.cross_validation import cross_validate
from mmcrowd.datasets.ucf_cc_50 import NUM_FOLDS
from mmcrowd.engine.experiments import RunOptions


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Cross-validate a config over folds')
    parser.add_argument('config', help='config with a dataset that has folds')
    parser.add_argument(
        '--folds',
        nargs='+',
        type=int,
        default=list(range(NUM_FOLDS)),
        metavar='FOLD',
        help='folds to run, in this order; default: %(default)s',
    )
    parser.add_argument('--work-dir', required=True, help='folder of the runs and the table')
    parser.add_argument(
        '--bf16', '--amp', dest='amp', action='store_true', help='mixed precision: bfloat16'
    )
    parser.add_argument(
        '--gpus',
        type=int,
        metavar='N',
        help='train and test in N processes, one for each GPU; the batch size is that of each; '
        'default: one process without a launcher',
    )
    parser.add_argument(
        '--data-root',
        help='folder of the dataset, as downloaded or prepared, instead of the one in the config',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every fold'
    )
    args = parser.parse_args(argv)
    if args.gpus is not None and args.gpus < 1:
        parser.error(f'--gpus must be at least 1, got {args.gpus}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    options = RunOptions(args.amp, args.cfg_options, args.gpus, args.data_root)
    print(cross_validate(args.config, args.folds, args.work_dir, options))


if __name__ == '__main__':
    command_line.run(main)
