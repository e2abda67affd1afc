"""Train one counter with several losses in turn and compare them.

Each loss gets the same config, hence the same data, seed and budget; only ``model.loss`` differs,
taken from ``configs/_base_/losses/NAME.py``. Below the work dir every loss has its config, and a
folder with its log and checkpoints. The best checkpoint on the validation images is tested once,
and ``comparison.md`` and ``comparison.png`` are written anew after each loss, with all that are
finished. The same command resumes where it was interrupted. ::

    python tools/analysis_tools/compare_losses.py configs/pml_mcnn_shb.py \\
        --losses l2 bl dmc gl pml --work-dir work_dirs/mcnn_shb
"""

import argparse
from pathlib import Path

import matplotlib
import trial
from mmengine.config import Config
from plot_curves import read_scalars
from trial import METRICS

from mmcrowd import command_line
from mmcrowd.engine.config import read_config
from mmcrowd.fileio.files import read_json, write_atomic

matplotlib.use('Agg')
import matplotlib.pyplot as plt

LOSSES = trial.REPO / 'configs' / '_base_' / 'losses'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a counter with several losses in turn')
    parser.add_argument('config', help='config of the counter, the data and the budget')
    known = sorted(path.stem for path in LOSSES.glob('*.py'))
    parser.add_argument(
        '--losses',
        nargs='+',
        choices=known,
        default=['l2', 'bl', 'dmc', 'gl', 'pml'],
        metavar='NAME',
        help=f'some of {", ".join(known)}; default: %(default)s',
    )
    parser.add_argument('--work-dir', required=True, help='folder of the runs and the comparison')
    parser.add_argument('--amp', action='store_true', help='mixed precision: bfloat16')
    parser.add_argument(
        '--data-root',
        help='folder of the dataset, as downloaded or prepared, instead of the one in the config',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every loss'
    )
    return parser.parse_args()


def write_config(name: str, cfg: Config, options: trial.Options, work_dir: Path) -> Path:
    """Config of one loss, which inherits from the given one."""
    loss = read_config(LOSSES / f'{name}.py').loss.to_dict()
    if 'loss' in cfg.model:
        loss['_delete_'] = True
    path = work_dir / f'{name}.py'
    trial.write_config(path, cfg, f'model = {dict(loss=loss)}', options, 'comparison')
    return path


def write_table(results: dict[str, dict], args: argparse.Namespace, path: Path) -> None:
    lines = [
        f'`{Path(args.config).name}`, one run per loss with the same data, seed and budget; '
        'tested once with the best checkpoint on the validation images.\n',
        '| loss | MAE | RMSE | NAE | checkpoint |',
        '|---|---|---|---|---|',
    ]
    best = min(result['count/MAE'] for result in results.values())
    for name, result in results.items():
        mae, rmse, nae = (result[key] for key in METRICS)
        mae = f'**{mae:.2f}**' if mae == best else f'{mae:.2f}'
        lines.append(f'| {name} | {mae} | {rmse:.2f} | {nae:.3f} | {result["checkpoint"]} |')
    write_atomic(path, '\n'.join(lines) + '\n')


def draw(results: dict[str, dict], path: Path) -> None:
    """Test errors by loss, and the validation error of every loss by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout='constrained')
    for k, key in enumerate(METRICS[:2]):
        places = [place + 0.4 * k for place in range(len(results))]
        bars = left.bar(places, [r[key] for r in results.values()], 0.4, label=key.split('/')[1])
        left.bar_label(bars, fmt='%.1f', fontsize=8)
    left.set_xticks([place + 0.2 for place in range(len(results))], list(results))
    left.set(ylabel='test error, persons')
    for name in results:
        val = [e for e in read_scalars(str(path.parent / name)) if METRICS[0] in e]
        right.plot([e['step'] for e in val], [e[METRICS[0]] for e in val], marker='o', label=name)
    right.set(xlabel='epoch', ylabel='validation MAE, persons')
    right.set_ylim(bottom=0)
    left.legend()
    right.legend(loc='upper left', bbox_to_anchor=(1, 1))  # beside the curves, not on them
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    options = trial.Options(args.amp, args.cfg_options, data_root=args.data_root)
    cfg = options.read_config(args.config)
    work_dir = Path(args.work_dir)
    table = work_dir / 'comparison.md'
    # Those of earlier commands stay in the table, and come first here: where they are of another
    # comparison, nothing is written.
    known = sorted(path.stem for path in LOSSES.glob('*.py'))
    begun = [name for name in known if (work_dir / f'{name}.py').exists()]
    configs = {name: write_config(name, cfg, options, work_dir) for name in begun + args.losses}
    names = dict.fromkeys(args.losses + begun)
    for name in args.losses:
        trial.train_and_test(configs[name], work_dir / name, options)
        paths = {name: work_dir / name / 'result.json' for name in names}
        results = {name: read_json(path) for name, path in paths.items() if path.exists()}
        write_table(results, args, table)
        draw(results, table.with_suffix('.png'))
    print(table.read_text(encoding='utf-8'))


if __name__ == '__main__':
    command_line.run(main)
