"""Draw the learning curves of one or several runs.

Reads the scalars that MMEngine's LocalVisBackend writes below a work dir and draws the training
loss and the validation errors. A resumed run is one curve. ::

    python tools/analysis_tools/plot_curves.py work_dirs/pml_vgg16_shb --out curves.png
"""

import argparse
import json
from itertools import cycle
from pathlib import Path

import matplotlib

from mmcrowd import command_line

matplotlib.use('Agg')
import matplotlib.pyplot as plt

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


def read_scalars(work_dir: str) -> list[dict]:
    """Lines of all logs of a run, oldest first; later ones replace those at the same step.

    Raises:
        FileNotFoundError: If there is no log below ``work_dir``.
        ValueError: If a line is no JSON, naming file and line.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'no log */vis_data/scalars.json in {work_dir}')
    by_step = {}
    for file in files:
        for number, line in enumerate(file.read_text(encoding='utf-8').splitlines(), start=1):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f'{file}: line {number} is no JSON ({error})') from error
            # Training lines count iterations, validation lines count epochs: two kinds of step.
            by_step['loss' in entry, entry['step']] = entry
    return [by_step[key] for key in sorted(by_step)]


def draw(runs: dict[str, list[dict]], metrics: list[str], out: str) -> None:
    """One panel for the training loss, one for the validation metrics."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    for name, scalars in runs.items():
        train = [entry for entry in scalars if 'loss' in entry]
        left.plot([e['step'] for e in train], [e['loss'] for e in train], label=printable(name))
        for metric, style in zip(metrics, cycle(('-', '--', ':', '-.')), strict=False):
            val = [entry for entry in scalars if metric in entry]
            right.plot(
                [e['step'] for e in val],
                [e[metric] for e in val],
                style,
                marker='o',
                label=printable(f'{name}: {metric}') if len(runs) > 1 else metric,
            )
    left.set(xlabel='iteration', ylabel='training loss')
    right.set(xlabel='epoch', ylabel='validation error, persons')
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out, dpi=120)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    runs = {work_dir: read_scalars(work_dir) for work_dir in args.work_dirs}
    draw(runs, args.metrics, args.out)
    print(printable(args.out))


if __name__ == '__main__':
    command_line.run(main)
