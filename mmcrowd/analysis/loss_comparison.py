"""One counter trained with several losses in turn, and the table and figure of their errors.

Each loss gets the same config, hence the same data, seed and budget; only ``model.loss`` differs,
taken from ``configs/_base_/losses/NAME.py``, and where wanted one other key, of which every loss is
trained with several values. Below the work dir every run has its config, and a folder with its log
and checkpoints. The best checkpoint on the validation images is tested once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config

from mmcrowd.analysis.learning_curves import read_scalars
from mmcrowd.engine.config import bundled, read_config
from mmcrowd.engine.experiments import METRICS, RunOptions, train_and_test, write_config
from mmcrowd.fileio.files import read_json, write_atomic

# Of lines, in turn.
STYLES = '-', '--', ':', '-.'


class LossRun(NamedTuple):
    """One run of a comparison.

    Attributes:
        loss: One of :func:`known_losses`.
        value: Value of the varied key, as on the command line; None if no key is varied.

    Examples:
        >>> LossRun.from_name('bl@0.05').name
        'bl@0.05'
    """

    loss: str
    value: str | None = None

    @classmethod
    def from_name(cls, name: str) -> 'LossRun':
        """The run of this :attr:`name`."""
        loss, mark, value = name.partition('@')
        return cls(loss, value if mark else None)

    @property
    def name(self) -> str:
        """Name of its files in the work dir."""
        return self.loss if self.value is None else f'{self.loss}@{self.value}'


def known_losses() -> list[str]:
    """Names of the losses that can be compared, sorted."""
    return sorted(path.stem for path in _losses().glob('*.py'))


def compare_losses(
    config: str | Path,
    losses: Sequence[str],
    work_dir: str | Path,
    options: RunOptions,
    vary: str | None = None,
) -> str:
    """Train and test a counter with each loss, or continue where that was interrupted.

    ``comparison.md`` and ``comparison.png`` in the work dir are written anew after each run, with
    all that are finished.

    Args:
        config: Config of the counter, the data and the budget.
        losses: Some of :func:`known_losses`. Those of earlier calls stay in the table.
        work_dir: Folder of the runs and the comparison.
        options: Options of all runs.
        vary: ``'KEY=VALUE,VALUE'``: every loss is trained with each of these values of a key of the
            config. Those of earlier calls stay in the table. Defaults to None: one run per loss.

    Returns:
        The table, Markdown.

    Raises:
        ValueError: If the work dir was begun with another config, other options or another varied
            key, or ``vary`` has not this form.
        CalledProcessError: If a training or test fails, which has said why.
    """
    key, values = _parse_vary(vary)
    work_dir = Path(work_dir)
    runs = [LossRun(loss, value) for value, loss in product(values, losses)]
    begun = _begun(work_dir, key)

    def prepare(run: LossRun) -> tuple[Path, RunOptions]:
        given = [] if key is None else [f'{key}={run.value}']
        own = replace(options, cfg_options=[*options.cfg_options, *given])
        return write_loss_config(run, own.read_config(config), own, work_dir), own

    # Those of earlier calls come first here: where they are of another comparison, nothing is
    # written.
    prepared = {run: prepare(run) for run in [*begun, *runs]}
    table = ''
    for run in runs:
        path, own = prepared[run]
        train_and_test(path, work_dir / run.name, own)
        # Other calls may have begun some in the meantime.
        every = _in_order([*runs, *_begun(work_dir, key)])
        paths = {run: work_dir / run.name / 'result.json' for run in every}
        results = {run: read_json(path) for run, path in paths.items() if path.exists()}
        table = comparison_table(results, Path(config).name, key)
        write_atomic(work_dir / 'comparison.md', table)
        draw_comparison(results, work_dir, work_dir / 'comparison.png', key)
    return table


def _losses() -> Path:
    return bundled('configs') / '_base_' / 'losses'


def _parse_vary(vary: str | None) -> tuple[str | None, Sequence[str | None]]:
    """The key and its values; without a key the one value is None."""
    if vary is None:
        return None, [None]
    key, _, given = vary.partition('=')
    values = given.split(',')
    # They are parts of file names.
    if not key or not all(value and set(value).isdisjoint('/\\@') for value in values):
        raise ValueError(f'--vary {vary}: expected KEY=VALUE,VALUE with values without / \\ and @')
    return key, values


def _begun(work_dir: Path, key: str | None) -> list[LossRun]:
    """The runs of earlier calls, by the configs in the work dir."""
    known = known_losses()
    files = {path: LossRun.from_name(path.stem) for path in sorted(work_dir.glob('*.py'))}
    begun = {path: run for path, run in files.items() if run.loss in known}
    for path, run in begun.items():
        if (run.value is None) != (key is None):
            begun_with = 'without' if run.value is None else 'with'
            raise ValueError(
                f'{path} is of another comparison, begun {begun_with} --vary; choose another '
                '--work-dir'
            )
    return list(begun.values())


def _in_order(runs: Iterable[LossRun]) -> list[LossRun]:
    """Losses as they come, and of each the values in their order."""
    distinct = list(dict.fromkeys(runs))
    losses = _names(distinct)
    places = _places(run.value for run in distinct)
    return sorted(distinct, key=lambda run: (losses.index(run.loss), places[run.value]))


def _places(values: Iterable[str | None]) -> dict[str | None, float]:
    """Where values stand on an axis: numbers where they are, others side by side."""
    distinct = list(dict.fromkeys(values))
    try:
        return {value: float(value or '') for value in distinct}
    except ValueError:
        return {value: float(place) for place, value in enumerate(distinct)}


def write_loss_config(run: LossRun, cfg: Config, options: RunOptions, work_dir: Path) -> Path:
    """Write the config of one run, which has all settings of the given one.

    Args:
        run: The run.
        cfg: Config of the comparison, under the options.
        options: Options of the run.
        work_dir: Folder of the config.

    Returns:
        Its file.

    Raises:
        ValueError: If it is there, with other settings.
    """
    loss = read_config(_losses() / f'{run.loss}.py').loss.to_dict()
    if 'loss' in cfg.model:
        loss['_delete_'] = True
    path = work_dir / f'{run.name}.py'
    write_config(path, cfg, {'model.loss': loss}, options, 'comparison')
    return path


def comparison_table(
    results: Mapping[LossRun, Mapping[str, Any]], config: str, key: str | None = None
) -> str:
    """The results in Markdown, the smallest MAE (of each value) in bold.

    Args:
        results: By run what :func:`~mmcrowd.engine.experiments.train_and_test` returns.
        config: Name of the config.
        key: The varied key. Defaults to None.
    """
    per = 'loss' if key is None else f'loss and value of `{key}`'
    column, rule = ('', '') if key is None else (f' {_short(key)} |', '---|')
    lines = [
        f'`{config}`, one run per {per} with the same data, seed and budget; '
        'tested once with the best checkpoint on the validation images.\n',
        f'| loss |{column} MAE | RMSE | NAE | checkpoint |',
        f'|---|{rule}---|---|---|---|',
    ]
    for run, result in results.items():
        mae, rmse, nae = (result[name] for name in METRICS)
        rivals = [other[METRICS[0]] for r, other in results.items() if r.value == run.value]
        error = f'**{mae:.2f}**' if mae == min(rivals) else f'{mae:.2f}'
        value = '' if key is None else f' {run.value} |'
        checkpoint = result['checkpoint']
        lines.append(f'| {run.loss} |{value} {error} | {rmse:.2f} | {nae:.3f} | {checkpoint} |')
    return '\n'.join(lines) + '\n'


def draw_comparison(
    results: Mapping[LossRun, Mapping[str, Any]],
    work_dir: Path,
    path: str | Path,
    key: str | None = None,
) -> None:
    """Draw the test errors by loss or by the varied value, and the validation errors by epoch.

    Args:
        results: By run what :func:`~mmcrowd.engine.experiments.train_and_test` returns.
        work_dir: Folder with the folders of the runs.
        path: Picture to write.
        key: The varied key. Defaults to None.
    """
    figure = Figure(figsize=(12, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    if key is None:
        _draw_bars(left, results)
    else:
        _draw_by_value(left, results, key)
    left.set(ylabel='test error, persons')
    colours = {loss: f'C{k}' for k, loss in enumerate(_names(results))}
    values = sorted(_places(run.value for run in results).items(), key=lambda item: item[1])
    styles = dict(zip([value for value, _ in values], cycle(STYLES), strict=False))
    for run in results:
        val = [e for e in read_scalars(work_dir / run.name) if METRICS[0] in e]
        right.plot(
            [e['step'] for e in val],
            [e[METRICS[0]] for e in val],
            styles[run.value],
            color=colours[run.loss],
            marker='o',
            markersize=4,
            label=run.loss if key is None else f'{run.loss}, {_short(key)} {run.value}',
        )
    right.set(xlabel='epoch', ylabel='validation MAE, persons')
    right.set_ylim(0, 1.05 * right.dataLim.ymax)
    right.xaxis.get_major_locator().set_params(integer=True)
    left.set_ylim(0, 1.2 * left.dataLim.ymax)
    left.legend(loc='upper right', ncols=2)  # in the room above the bars
    right.legend(loc='upper left', bbox_to_anchor=(1, 1))  # beside the curves, not on them
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _short(key: str) -> str:
    return key.rpartition('.')[2]


def _names(runs: Iterable[LossRun]) -> list[str]:
    return list(dict.fromkeys(run.loss for run in runs))


def _draw_bars(axes: Axes, results: Mapping[LossRun, Mapping[str, Any]]) -> None:
    for k, metric in enumerate(METRICS[:2]):
        places = [place + 0.4 * k for place in range(len(results))]
        errors = [result[metric] for result in results.values()]
        bars = axes.bar(places, errors, 0.4, label=metric.split('/')[1])
        axes.bar_label(bars, fmt='%.1f', fontsize=8)
    axes.set_xticks([place + 0.2 for place in range(len(results))], _names(results))


def _draw_by_value(axes: Axes, results: Mapping[LossRun, Mapping[str, Any]], key: str) -> None:
    places = _places(run.value for run in results)
    for k, loss in enumerate(_names(results)):
        runs = sorted((run for run in results if run.loss == loss), key=lambda r: places[r.value])
        for metric, style in zip(METRICS[:2], STYLES, strict=False):
            axes.plot(
                [places[run.value] for run in runs],
                [results[run][metric] for run in runs],
                style,
                color=f'C{k}',
                marker='o',
                markersize=4,
                label=f'{loss}: {metric.split("/")[1]}',
            )
    axes.set_xticks(list(places.values()), [str(value) for value in places])
    axes.set(xlabel=_short(key))
    axes.set_ylim(0, 1.05 * axes.dataLim.ymax)
