"""Several counters trained in turn on the same data with the same budget, and a table of their
errors.

Where a config and its sister ``NAME_pml`` are both among them, the table says what training by PML
changes. Below the work dir every run has its config, and a folder with its log and checkpoints. The
best checkpoint on the validation images is tested once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcrowd.engine.config import iter_loader_datasets, read_config
from mmcrowd.engine.experiments import (
    METRICS,
    RunOptions,
    require_options,
    train_and_test,
    write_config,
)
from mmcrowd.fileio.files import read_json, write_atomic

PML = '_pml'  # ends the name of a config whose sister has the loss of its authors


def compare_configs(
    configs: Sequence[str | Path], work_dir: str | Path, options: RunOptions
) -> str:
    """Train and test each config, or continue where that was interrupted.

    ``comparison.md`` in the work dir is written anew after each run, with all that are finished.

    Args:
        configs: Configs of the counters. Those of earlier calls stay in the table.
        work_dir: Folder of the runs and the table.
        options: Options of all runs.

    Returns:
        The table, Markdown.

    Raises:
        ValueError: If two configs have one name, configs (those of earlier calls too) differ in
            data or budget, or the work dir has another config of this name or a run with other
            options.
        CalledProcessError: If a training or test fails, which has said why.
    """
    work_dir = Path(work_dir)
    read = {Path(config).stem: options.read_config(config) for config in configs}
    if len(read) < len(configs):
        raise ValueError(f'the configs {list(map(str, configs))} need names that differ')
    paths = sorted(work_dir.glob('*.py'))
    for path in paths:
        require_options(path, options)
    begun = {path.stem: read_config(path) for path in paths}
    require_same_budget({**begun, **read})
    for name, cfg in read.items():
        write_config(work_dir / f'{name}.py', cfg, {}, options, 'comparison')
    table = ''
    for name in read:
        train_and_test(work_dir / f'{name}.py', work_dir / name, options)
        paths = {name: work_dir / name / 'result.json' for name in [*read, *begun]}
        results = {name: read_json(path) for name, path in paths.items() if path.exists()}
        table = config_table(results)
        write_atomic(work_dir / 'comparison.md', table)
    return table


def require_same_budget(configs: Mapping[str, Config]) -> None:
    """See that all configs take the same number of steps of as many images of the same data.

    Args:
        configs: By name, at least one.

    Raises:
        ValueError: They do not; the message names the key, two configs and their values.
    """
    (first, expected), *others = ((name, _budget(cfg)) for name, cfg in configs.items())
    for name, found in others:
        for key in {**expected, **found}:
            if expected.get(key) != found.get(key):
                raise ValueError(
                    f'{key}: {found.get(key)!r} in {name}, but {expected.get(key)!r} in {first}; '
                    'a comparison needs the same data and budget'
                )


def _budget(cfg: Config) -> dict[str, Any]:
    """What must be equal, by key."""
    facts = {
        'train_cfg.max_epochs': cfg.train_cfg.get('max_epochs'),
        'train_cfg.max_iters': cfg.train_cfg.get('max_iters'),
        'train_dataloader.batch_size': cfg.train_dataloader.batch_size,
        'randomness.seed': cfg.get('randomness', {}).get('seed'),
    }
    for key, dataset in iter_loader_datasets(cfg):
        for name in ('type', 'data_root', 'split', 'times', 'indices'):
            facts[f'{key}.{name}'] = dataset.get(name)
    return facts


def config_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The results in Markdown; by the side of a ``_pml`` how its MAE differs from its sister's.

    Args:
        results: By name of the config what :func:`~mmcrowd.engine.experiments.train_and_test`
            returns.

    Examples:
        >>> errors = {'count/RMSE': 9.0, 'count/NAE': 0.5, 'checkpoint': 'best'}
        >>> print(config_table({'a': {'count/MAE': 8.0, **errors},
        ...                     'a_pml': {'count/MAE': 6.0, **errors}}))
        One run per config with the same data, seed and budget; tested once with the best \
checkpoint on the validation images.
        <BLANKLINE>
        | config | MAE | RMSE | NAE | MAE by PML | checkpoint |
        |---|---|---|---|---|---|
        | a | 8.00 | 9.00 | 0.500 | | best |
        | a_pml | 6.00 | 9.00 | 0.500 | -25 % | best |
        <BLANKLINE>
    """
    lines = [
        'One run per config with the same data, seed and budget; tested once with the best '
        'checkpoint on the validation images.\n',
        '| config | MAE | RMSE | NAE | MAE by PML | checkpoint |',
        '|---|---|---|---|---|---|',
    ]
    for name, result in results.items():
        mae, rmse, nae = (result[metric] for metric in METRICS)
        sister = results.get(name.removesuffix(PML)) if name.endswith(PML) else None
        change = '' if sister is None else f' {100 * (mae / sister[METRICS[0]] - 1):+.0f} %'
        errors = f'{mae:.2f} | {rmse:.2f} | {nae:.3f}'
        lines.append(f'| {name} | {errors} |{change} | {result["checkpoint"]} |')
    return '\n'.join(lines) + '\n'
