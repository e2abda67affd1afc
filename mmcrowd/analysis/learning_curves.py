"""Learning curves of runs, from the scalars that MMEngine's LocalVisBackend writes."""

import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmcrowd.fileio.files import printable


def read_scalars(work_dir: str | Path) -> list[dict[str, Any]]:
    """Read the lines of all logs of a run.

    Args:
        work_dir: Folder of the run, with ``*/vis_data/scalars.json``. A run that was resumed has
            several; where two have the same step, the later one counts.

    Returns:
        Validation entries by epoch, then training entries (those with ``'loss'``) by iteration.

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


def draw_curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], metrics: Sequence[str], out: str | Path
) -> None:
    """Draw one panel of the training loss and one of the validation metrics.

    Args:
        runs: Entries of :func:`read_scalars` by the name of the run.
        metrics: Scalars of the second panel, such as ``'count/MAE'``.
        out: Picture to write.
    """
    figure = Figure(figsize=(11, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
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
