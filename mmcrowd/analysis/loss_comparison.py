"""One counter trained with several losses in turn, and the table and figure of their errors.

Each loss gets the same config, hence the same data, seed and budget; only ``model.loss`` differs,
taken from ``configs/_base_/losses/NAME.py``. Below the work dir every loss has its config, and a
folder with its log and checkpoints. The best checkpoint on the validation images is tested once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.config import Config

from mmcrowd.analysis.learning_curves import read_scalars
from mmcrowd.engine.config import bundled, read_config
from mmcrowd.engine.experiments import METRICS, RunOptions, train_and_test, write_config
from mmcrowd.fileio.files import read_json, write_atomic


def known_losses() -> list[str]:
    """Names of the losses that can be compared, sorted."""
    return sorted(path.stem for path in _losses().glob('*.py'))


def compare_losses(
    config: str | Path, losses: Sequence[str], work_dir: str | Path, options: RunOptions
) -> str:
    """Train and test a counter with each loss, or continue where that was interrupted.

    ``comparison.md`` and ``comparison.png`` in the work dir are written anew after each loss, with
    all that are finished.

    Args:
        config: Config of the counter, the data and the budget.
        losses: Some of :func:`known_losses`. Those of earlier calls stay in the table.
        work_dir: Folder of the runs and the comparison.
        options: Options of all runs.

    Returns:
        The table, Markdown.

    Raises:
        ValueError: If the work dir was begun with another config or other options.
        CalledProcessError: If a training or test fails, which has said why.
    """
    cfg = options.read_config(config)
    work_dir = Path(work_dir)
    # Those of earlier calls come first here: where they are of another comparison, nothing is
    # written.
    begun = [name for name in known_losses() if (work_dir / f'{name}.py').exists()]
    configs = {name: write_loss_config(name, cfg, options, work_dir) for name in [*begun, *losses]}
    names = dict.fromkeys([*losses, *begun])
    table = ''
    for name in losses:
        train_and_test(configs[name], work_dir / name, options)
        paths = {name: work_dir / name / 'result.json' for name in names}
        results = {name: read_json(path) for name, path in paths.items() if path.exists()}
        table = comparison_table(results, Path(config).name)
        write_atomic(work_dir / 'comparison.md', table)
        draw_comparison(results, work_dir, work_dir / 'comparison.png')
    return table


def _losses() -> Path:
    return bundled('configs') / '_base_' / 'losses'


def write_loss_config(name: str, cfg: Config, options: RunOptions, work_dir: Path) -> Path:
    """Write the config of one loss, which inherits from the given one.

    Args:
        name: One of :func:`known_losses`.
        cfg: Config of the comparison, under the options.
        options: Options of all runs.
        work_dir: Folder of the config.

    Returns:
        Its file.

    Raises:
        ValueError: If it is there, with other settings.
    """
    loss = read_config(_losses() / f'{name}.py').loss.to_dict()
    if 'loss' in cfg.model:
        loss['_delete_'] = True
    path = work_dir / f'{name}.py'
    write_config(path, cfg, {'model.loss': loss}, options, 'comparison')
    return path


def comparison_table(results: Mapping[str, Mapping[str, Any]], config: str) -> str:
    """The results by loss in Markdown, the smallest MAE in bold.

    Args:
        results: By loss what :func:`~mmcrowd.engine.experiments.train_and_test` returns.
        config: Name of the config.
    """
    lines = [
        f'`{config}`, one run per loss with the same data, seed and budget; '
        'tested once with the best checkpoint on the validation images.\n',
        '| loss | MAE | RMSE | NAE | checkpoint |',
        '|---|---|---|---|---|',
    ]
    best = min(result['count/MAE'] for result in results.values())
    for name, result in results.items():
        mae, rmse, nae = (result[key] for key in METRICS)
        error = f'**{mae:.2f}**' if mae == best else f'{mae:.2f}'
        lines.append(f'| {name} | {error} | {rmse:.2f} | {nae:.3f} | {result["checkpoint"]} |')
    return '\n'.join(lines) + '\n'


def draw_comparison(
    results: Mapping[str, Mapping[str, Any]], work_dir: Path, path: str | Path
) -> None:
    """Draw the test errors by loss, and the validation error of every loss by epoch.

    Args:
        results: By loss what :func:`~mmcrowd.engine.experiments.train_and_test` returns.
        work_dir: Folder with the folders of the runs.
        path: Picture to write.
    """
    figure = Figure(figsize=(12, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    for k, key in enumerate(METRICS[:2]):
        places = [place + 0.4 * k for place in range(len(results))]
        bars = left.bar(places, [r[key] for r in results.values()], 0.4, label=key.split('/')[1])
        left.bar_label(bars, fmt='%.1f', fontsize=8)
    left.set_xticks([place + 0.2 for place in range(len(results))], list(results))
    left.set(ylabel='test error, persons')
    for name in results:
        val = [e for e in read_scalars(work_dir / name) if METRICS[0] in e]
        right.plot([e['step'] for e in val], [e[METRICS[0]] for e in val], marker='o', label=name)
    right.set(xlabel='epoch', ylabel='validation MAE, persons')
    right.set_ylim(bottom=0)
    left.legend()
    right.legend(loc='upper left', bbox_to_anchor=(1, 1))  # beside the curves, not on them
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
