"""Cross-validation of one config: a model for each fold, and the mean of their errors.

Each fold gets the same config; only ``fold`` differs, an argument of the dataset such as that of
``UCFCC50Dataset``. Its model is selected on the validation images, which are of the other folds,
and tested once on the fold. Below the work dir every fold has its config, and a folder with its
log, checkpoints and ``result.json``.

The result is what papers report on UCF_CC_50: the mean over the folds of their MAE, and that of
their RMSE. The latter is not the RMSE over the images of all folds, which is larger unless all
folds have the same. The standard deviation is the sample deviation over the folds, with n - 1.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcrowd.engine.config import LOADERS, iter_loader_datasets
from mmcrowd.engine.experiments import METRICS, RunOptions, train_and_test, write_config
from mmcrowd.engine.launch import require_batch
from mmcrowd.fileio.files import read_json, write_atomic
from mmcrowd.registry import DATASETS


def cross_validate(
    config: str | Path, folds: Sequence[int], work_dir: str | Path, options: RunOptions
) -> str:
    """Train and test a model for each fold, or continue where that was interrupted.

    ``cross_validation.md`` and ``cross_validation.json`` in the work dir are written anew after
    each fold, with all that are finished. Whatever can be wrong with any fold is raised before the
    first is trained.

    Args:
        config: Config with a dataset that has folds.
        folds: Folds to run, in this order. Those of earlier calls stay in the table.
        work_dir: Folder of the runs and the tables.
        options: Options of all runs; they must not set the fold.

    Returns:
        The table, Markdown.

    Raises:
        ValueError: If the config has no folds, the options set them, a fold has too few images, or
            the work dir was begun with another config or other options.
        CalledProcessError: If a training or test fails, which has said why.
    """
    for key in options.values():
        if key.startswith(LOADERS) and key.endswith('.fold'):
            raise ValueError(f'--cfg-options {key}: the folds are chosen by --folds')
    cfg = options.read_config(config)
    keys, seed = find_folds(cfg)
    work_dir = Path(work_dir)

    begun = {int(path.stem.removeprefix('fold_')) for path in work_dir.glob('fold_[0-9].py')}
    images = {
        fold: count_images(fold, keys, cfg, options.gpus)
        for fold in folds
        if not (work_dir / f'fold_{fold}' / 'result.json').exists()
    }
    known = sorted(begun.union(folds))
    # Where those begun are of another cross-validation, nothing is written.
    begun_first = sorted(known, key=lambda fold: fold not in begun)
    configs = {
        fold: write_fold_config(fold, keys, seed, cfg, options, work_dir) for fold in begun_first
    }

    table = ''
    for fold in folds:
        facts = dict(images=images[fold]) if fold in images else {}
        train_and_test(configs[fold], work_dir / f'fold_{fold}', options, **facts)
        paths = {fold: work_dir / f'fold_{fold}' / 'result.json' for fold in known}
        results = {fold: read_json(path) for fold, path in paths.items() if path.exists()}
        table = fold_table(results, Path(config).name, seed)
        write_atomic(work_dir / 'cross_validation.md', table)
        content = dict(
            config=Path(config).name,
            options=str(options),
            seed=seed,
            folds=[dict(fold=fold) | result for fold, result in results.items()],
            **summarize(results),
        )
        write_atomic(work_dir / 'cross_validation.json', json.dumps(content, indent=1))
    return table


def find_folds(cfg: Config) -> tuple[list[str], int | None]:
    """Find where a config says the fold.

    Returns:
        The key of the dataset that has a ``fold``, for training, validation and test, and the
        ``seed`` of the folds, None if the config has none. A dataset may be in wrappers such as
        ``RepeatDataset``: ``train_dataloader.dataset.dataset``.

    Raises:
        ValueError: If there is no ``fold`` for one of the three, or they differ in ``seed``.
    """
    # In a config that inherits, entries of a list cannot be set one by one.
    single = {key: each for key, each in iter_loader_datasets(cfg) if '.datasets.' not in key}
    seeds: dict[str, int | None] = {}
    for loader in LOADERS:
        own = {key: each for key, each in single.items() if key.startswith(f'{loader}.')}
        key = next((key for key, each in own.items() if 'fold' in each), None)
        if key is None:
            innermost = list(own)[-1] if own else f'{loader}.dataset'
            raise ValueError(
                f'{cfg.filename}: there is no {innermost}.fold; cross-validation needs a dataset '
                f'with folds, such as UCFCC50Dataset, not {own.get(innermost, {}).get("type")}'
            )
        seeds[key] = own[key].get('seed')
    if len(set(seeds.values())) > 1:
        got = ', '.join(f'{key}.seed={seed}' for key, seed in seeds.items())
        raise ValueError(f'{cfg.filename}: the folds need the same seed everywhere, got {got}')
    return list(seeds), next(iter(seeds.values()))


def write_fold_config(
    fold: int,
    keys: Sequence[str],
    seed: int | None,
    cfg: Config,
    options: RunOptions,
    work_dir: str | Path,
) -> Path:
    """Write the config of one fold, which inherits from the given one.

    Args:
        fold: Number of the fold.
        keys: See :func:`find_folds`.
        seed: See :func:`find_folds`.
        cfg: Config of the cross-validation, under the options.
        options: Options of all runs.
        work_dir: Folder of the config.

    Returns:
        Its file.

    Raises:
        ValueError: If it is there, with other settings.
    """
    values = dict(fold=fold) if seed is None else dict(fold=fold, seed=seed)
    changes = {f'{key}.{name}': value for key in keys for name, value in values.items()}
    path = Path(work_dir) / f'fold_{fold}.py'
    write_config(path, cfg, changes, options, 'cross-validation')
    return path


def count_images(fold: int, keys: Sequence[str], cfg: Config, gpus: int | None = None) -> int:
    """Number of tested images of a fold whose three datasets can be read.

    Args:
        fold: Number of the fold.
        keys: See :func:`find_folds`.
        cfg: Config of the cross-validation, under the options.
        gpus: Number of processes of the training. Defaults to None, which is one.

    Raises:
        ValueError: If the training images do not make one batch.
    """
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({f'{key}.fold': fold for key in keys})
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmcrowd')):
        train, _, test = (DATASETS.build(cfg[loader].dataset) for loader in LOADERS)
    try:
        require_batch(cfg.train_dataloader, len(train), gpus or 1)
    except ValueError as error:
        raise ValueError(f'fold {fold}: {error}') from None
    return len(test)


def summarize(results: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean and sample deviation (n - 1) over the folds of each metric.

    Args:
        results: Metrics by fold, at least one.

    Returns:
        ``mean`` and ``std``, dicts from metric to number; a deviation is None for a single fold.

    Examples:
        >>> keys = 'count/MAE', 'count/RMSE', 'count/NAE'
        >>> summary = summarize({0: dict.fromkeys(keys, 1.0), 1: dict.fromkeys(keys, 3.0)})
        >>> summary['mean']['count/MAE'], summary['std']['count/MAE']
        (2.0, 1.414...)
    """
    values = np.array([[result[key] for key in METRICS] for result in results.values()])
    mean = values.mean(axis=0).tolist()
    std = values.std(axis=0, ddof=1).tolist() if len(values) > 1 else [None] * len(METRICS)
    return dict(
        mean=dict(zip(METRICS, mean, strict=True)), std=dict(zip(METRICS, std, strict=True))
    )


def fold_table(results: Mapping[int, Mapping[str, Any]], config: str, seed: int | None) -> str:
    """The results by fold and their summary in Markdown.

    Args:
        results: By fold what :func:`~mmcrowd.engine.experiments.train_and_test` returns, with the
            number of ``images``.
        config: Name of the config.
        seed: Seed of the folds, or None.
    """
    summary = summarize(results)
    drawn = '' if seed is None else f', drawn with seed {seed}'
    lines = [
        f'`{config}`, one model per fold{drawn}; each is tested once with the best '
        'checkpoint on the validation images. The standard deviation is the sample deviation over '
        'the folds (n - 1).\n',
        '| fold | images | MAE | RMSE | NAE | checkpoint |',
        '|---|---|---|---|---|---|',
    ]
    for fold, result in results.items():
        lines.append(f'| {fold} | {result["images"]} | {_row(result)} | {result["checkpoint"]} |')
    images = sum(result['images'] for result in results.values())
    lines.append(f'| mean | {images} | {_row(summary["mean"])} | |')
    lines.append(f'| standard deviation | | {_row(summary["std"])} | |')
    return '\n'.join(lines) + '\n'


def _row(metrics: Mapping[str, Any]) -> str:
    mae, rmse, nae = (metrics[key] for key in METRICS)
    return '- | - | -' if mae is None else f'{mae:.2f} | {rmse:.2f} | {nae:.3f}'
