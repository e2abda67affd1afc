"""Draw the learning curves of one or several runs.

Reads the scalars that MMEngine's LocalVisBackend writes below a work dir and draws the training
loss and the validation errors. A resumed run is one curve. ::

    python tools/analysis_tools/plot_curves.py work_dirs/pml_vgg16_shb --out curves.png
"""

import argparse

from mmcrowd import command_line
from mmcrowd.analysis.learning_curves import draw_curves, read_scalars
from mmcrowd.fileio.files import printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw the learning curves of runs')
    parser.add_argument('work_dirs', nargs='+', help='work dirs of the runs')
    parser.add_argument('--out', default='curves.png', help='picture to write')
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=['count/MAE', 'count/RMSE'],
        help='validation scalars to draw; default: count/MAE count/RMSE',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    runs = {work_dir: read_scalars(work_dir) for work_dir in args.work_dirs}
    draw_curves(runs, args.metrics, args.out)
    print(printable(args.out))


if __name__ == '__main__':
    command_line.run(main)
