"""Train one counter with several losses in turn and compare them.

Each loss gets the same config, hence the same data, seed and budget; only ``model.loss`` differs,
taken from ``configs/_base_/losses/NAME.py``. Below the work dir every loss has its config, and a
folder with its log and checkpoints. The best checkpoint on the validation images is tested once,
and ``comparison.md`` and ``comparison.png`` are written anew after each loss. The same command
resumes where it was interrupted. ::

    python tools/analysis_tools/compare_losses.py configs/pml_mcnn_shb.py \\
        --losses l2 bl dmc gl pml --work-dir work_dirs/mcnn_shb
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib
from plot_curves import read_scalars

matplotlib.use('Agg')
import matplotlib.pyplot as plt

REPO = Path(__file__).resolve().parents[2]
LOSSES = REPO / 'configs' / '_base_' / 'losses'
METRICS = 'count/MAE', 'count/RMSE', 'count/NAE'


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
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every loss'
    )
    return parser.parse_args()


def run(tool: str, *args) -> None:
    """Run a tool in a process of its own, so that every loss starts from the same state."""
    subprocess.run([sys.executable, str(REPO / 'tools' / tool), *map(str, args)], check=True)


def write_config(name: str, args: argparse.Namespace) -> Path:
    """Config with another loss.

    Raises:
        ValueError: If the work dir holds the runs of another config or of other options.
    """
    bases = [str(LOSSES / f'{name}.py'), str(Path(args.config).resolve())]
    options = ' '.join((['--amp'] if args.amp else []) + args.cfg_options)
    text = (
        f'# Options: {options or "none"}\n_base_ = {bases}\n\n'
        'model = dict(loss=dict(_base_.loss, _delete_=True))\n'
    )
    path = Path(args.work_dir) / f'{name}.py'
    if path.exists() and path.read_text() != text:
        raise ValueError(f'{path} is of another comparison; choose another --work-dir')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def evaluate(name: str, args: argparse.Namespace) -> dict:
    """Train and test one loss, or go on with it; metrics of the test and the chosen epoch."""
    folder = Path(args.work_dir) / name
    config = write_config(name, args)
    result = folder / 'result.json'
    if result.exists():
        return json.loads(result.read_text())
    options = ['--amp'] if args.amp else []
    if args.cfg_options:
        options += ['--cfg-options', *args.cfg_options]
    run('train.py', config, '--work-dir', folder, '--resume', *options)
    best = list(folder.glob('best_*.pth'))
    if len(best) != 1:
        raise RuntimeError(f'{folder} should have one best_*.pth, but has {len(best)}')
    run('test.py', config, best[0], '--work-dir', folder / 'test', *options)
    metrics = json.loads(max((folder / 'test').glob('*/*.json')).read_text())
    metrics = {key: metrics[key] for key in METRICS} | dict(checkpoint=best[0].stem)
    unfinished = result.with_suffix('.tmp')
    unfinished.write_text(json.dumps(metrics, indent=1))
    unfinished.rename(result)
    return metrics


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
    path.write_text('\n'.join(lines) + '\n')


def draw(results: dict[str, dict], args: argparse.Namespace, path: Path) -> None:
    """Test errors by loss, and the validation error of every loss by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    for k, key in enumerate(METRICS[:2]):
        places = [place + 0.4 * k for place in range(len(results))]
        bars = left.bar(places, [r[key] for r in results.values()], 0.4, label=key.split('/')[1])
        left.bar_label(bars, fmt='%.1f', fontsize=8)
    left.set_xticks([place + 0.2 for place in range(len(results))], list(results))
    left.set(ylabel='test error, persons')
    for name in results:
        val = [e for e in read_scalars(str(Path(args.work_dir) / name)) if METRICS[0] in e]
        right.plot([e['step'] for e in val], [e[METRICS[0]] for e in val], marker='o', label=name)
    right.set(xlabel='epoch', ylabel='validation MAE, persons')
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    results = {}
    for name in args.losses:
        results[name] = evaluate(name, args)
        table = Path(args.work_dir) / 'comparison.md'
        write_table(results, args, table)
        draw(results, args, table.with_suffix('.png'))
    print(table.read_text())


if __name__ == '__main__':
    main()
