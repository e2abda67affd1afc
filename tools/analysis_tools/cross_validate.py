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
import copy
import json
from pathlib import Path

import numpy as np
import trial
from mmengine.config import Config
from mmengine.registry import DefaultScope
from trial import METRICS

from mmcrowd import command_line
from mmcrowd.datasets.ucf_cc_50 import NUM_FOLDS
from mmcrowd.engine.loaders import LOADERS, require_batch
from mmcrowd.fileio.files import read_json, write_atomic
from mmcrowd.registry import DATASETS


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
    parser.add_argument('--amp', action='store_true', help='mixed precision: bfloat16')
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


def load_config(args: argparse.Namespace) -> Config:
    """The config under the options of the command line.

    Raises:
        ValueError: If the options set the fold.
    """
    options = options_of(args)
    for key in options.values():
        if key.startswith(LOADERS) and key.endswith('.fold'):
            raise ValueError(f'--cfg-options {key}: the folds are chosen by --folds')
    return options.read_config(args.config)


def find_folds(cfg: Config) -> tuple[list[str], int | None]:
    """Where the config says the fold.

    Returns:
        The key of each dataset that has a ``fold``, for training, validation and test, and the
        ``seed`` of the folds, None if the config has none. A dataset may be in wrappers such as
        ``RepeatDataset``: ``train_dataloader.dataset.dataset``.

    Raises:
        ValueError: If a dataset has no ``fold``, or they differ in ``seed``.
    """
    seeds = {}
    for loader in LOADERS:
        key, dataset = f'{loader}.dataset', (cfg.get(loader) or {}).get('dataset', {})
        while 'fold' not in dataset and 'dataset' in dataset:
            key, dataset = f'{key}.dataset', dataset['dataset']
        if 'fold' not in dataset:
            raise ValueError(
                f'{cfg.filename}: there is no {key}.fold; cross-validation needs a dataset with '
                f'folds, such as UCFCC50Dataset, not {dataset.get("type")}'
            )
        seeds[key] = dataset.get('seed')
    if len(set(seeds.values())) > 1:
        told = ', '.join(f'{key}.seed={seed}' for key, seed in seeds.items())
        raise ValueError(f'{cfg.filename}: the folds need the same seed everywhere, got {told}')
    return list(seeds), seeds[key]


def write_config(
    fold: int, keys: list[str], seed: int | None, cfg: Config, args: argparse.Namespace
) -> Path:
    """Config of one fold, which inherits from the given one."""
    values = f'fold={fold}' if seed is None else f'fold={fold}, seed={seed}'
    changes = []
    for key in keys:
        loader, *inner = key.split('.')
        changes.append(f'{loader} = {"dict(dataset=" * len(inner)}dict({values}){")" * len(inner)}')
    path = Path(args.work_dir) / f'fold_{fold}.py'
    trial.write_config(path, cfg, '\n'.join(changes), options_of(args), 'cross-validation')
    return path


def options_of(args: argparse.Namespace) -> trial.Options:
    return trial.Options(args.amp, args.cfg_options, args.gpus, args.data_root)


def count_images(fold: int, keys: list[str], cfg: Config, gpus: int | None) -> int:
    """Number of tested images of a fold whose three datasets can be read.

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


def summarize(results: dict[int, dict]) -> dict[str, dict]:
    """Mean and sample deviation (n - 1) over the folds of each metric.

    Args:
        results: Metrics by fold, at least one.

    Returns:
        ``mean`` and ``std``, dicts from metric to number; a deviation is None for a single fold.
    """
    values = np.array([[result[key] for key in METRICS] for result in results.values()])
    mean = values.mean(axis=0).tolist()
    std = values.std(axis=0, ddof=1).tolist() if len(values) > 1 else [None] * len(METRICS)
    return dict(
        mean=dict(zip(METRICS, mean, strict=True)), std=dict(zip(METRICS, std, strict=True))
    )


def write_tables(results: dict[int, dict], seed: int | None, args: argparse.Namespace) -> str:
    """Write both tables; the text of the one to read."""
    summary = summarize(results)
    drawn = '' if seed is None else f', drawn with seed {seed}'
    lines = [
        f'`{Path(args.config).name}`, one model per fold{drawn}; each is tested once with the best '
        'checkpoint on the validation images. The standard deviation is the sample deviation over '
        'the folds (n - 1).\n',
        '| fold | images | MAE | RMSE | NAE | checkpoint |',
        '|---|---|---|---|---|---|',
    ]
    for fold, result in results.items():
        lines.append(f'| {fold} | {result["images"]} | {row(result)} | {result["checkpoint"]} |')
    images = sum(result['images'] for result in results.values())
    lines.append(f'| mean | {images} | {row(summary["mean"])} | |')
    lines.append(f'| standard deviation | | {row(summary["std"])} | |')
    text = '\n'.join(lines) + '\n'
    path = Path(args.work_dir) / 'cross_validation.md'
    write_atomic(path, text)
    content = dict(
        config=Path(args.config).name,
        options=str(options_of(args)),
        seed=seed,
        folds=[dict(fold=fold) | result for fold, result in results.items()],
        **summary,
    )
    write_atomic(path.with_suffix('.json'), json.dumps(content, indent=1))
    return text


def row(metrics: dict[str, float | None]) -> str:
    mae, rmse, nae = (metrics[key] for key in METRICS)
    return '- | - | -' if mae is None else f'{mae:.2f} | {rmse:.2f} | {nae:.3f}'


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    keys, seed = find_folds(cfg)
    work_dir = Path(args.work_dir)

    # Whatever can be wrong with any fold is told before the first is trained.
    begun = {int(path.stem.removeprefix('fold_')) for path in work_dir.glob('fold_*.py')}
    images = {
        fold: count_images(fold, keys, cfg, args.gpus)
        for fold in args.folds
        if not (work_dir / f'fold_{fold}' / 'result.json').exists()
    }
    folds = sorted(begun.union(args.folds))
    # Where those begun are of another cross-validation, nothing is written.
    begun_first = sorted(folds, key=lambda fold: fold not in begun)
    configs = {fold: write_config(fold, keys, seed, cfg, args) for fold in begun_first}

    for fold in args.folds:
        facts = dict(images=images[fold]) if fold in images else {}
        trial.train_and_test(configs[fold], work_dir / f'fold_{fold}', options_of(args), **facts)
        paths = {fold: work_dir / f'fold_{fold}' / 'result.json' for fold in folds}
        results = {fold: read_json(p) for fold, p in paths.items() if p.exists()}
        table = write_tables(results, seed, args)
    print(table)


if __name__ == '__main__':
    command_line.run(main)
