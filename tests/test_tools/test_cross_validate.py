import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.utils import ManagerMixin

from mmcrowd.analysis import cross_validation
from mmcrowd.analysis.cross_validation import (
    count_images,
    find_folds,
    summarize,
    write_fold_config,
)
from mmcrowd.datasets.ucf_cc_50 import UCFCC50Dataset
from mmcrowd.engine import experiments
from mmcrowd.engine.config import read_config
from mmcrowd.engine.experiments import METRICS, RunOptions
from mmcrowd.registry import MODELS
from tests.testing.benchmarks import make_cc50

REPO = Path(__file__).resolve().parents[2]

CONFIG = f"""
_base_ = [
    '{REPO}/configs/_base_/models/mcnn.py',
    '{REPO}/configs/_base_/datasets/ucf_cc_50.py',
    '{REPO}/configs/_base_/default_runtime.py',
]
train_seed = 0
seed = 0
# The drawn images are dark: as they are, the counter says zero to all of them.
model = dict(data_preprocessor=dict(std=[1.0]), loss=dict(type='PMLLoss'))
train_pipeline = _base_.train_pipeline
train_pipeline[1].crop_size = 32
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        pipeline=train_pipeline,
        seed=train_seed,
        partition_stride=_base_.model.head.out_stride,
    ),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(seed=seed))
test_dataloader = dict(num_workers=0, dataset=dict(seed=seed))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(interval=1))
"""

WRAPPED = """
_base_ = 'tiny.py'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=2,
        dataset=_base_.train_dataloader.dataset,
    )
)
"""


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/cross_validate.py')


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Config of a tiny counter on 15 drawn images: folds of three, one of the others is val."""
    make_cc50(tmp_path / 'UCF_CC_50', 15)
    monkeypatch.setenv('MMCROWD_DATA_ROOT', str(tmp_path))
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return path


@pytest.fixture
def runs(tool, load_tool, monkeypatch):
    """Runs train.py and test.py in this process, and lists what was run."""
    tools = {name: load_tool(f'{name}.py') for name in ('train', 'test')}
    done = []

    def run(name, inputs, options, gpus=None):
        forget_mmengine_state()
        done.append(f'{name} {Path(inputs[0]).stem}')
        tools[name].main([str(argument) for argument in (*inputs, *options)])

    monkeypatch.setattr(experiments, 'run_tool', run)
    return done


def forget_mmengine_state():
    """As if in a process of its own; the instances are named by second."""
    managers = ManagerMixin.__subclasses__()
    for manager in managers:
        manager._instance_dict.clear()
        managers.extend(manager.__subclasses__())


def test_two_folds_interrupted_and_resumed(tool, config, runs, tmp_path, monkeypatch):
    work_dir = tmp_path / 'runs'
    monkeypatch.setenv('MMCROWD_DATA_ROOT', 'nowhere')
    always = [str(config), '--work-dir', str(work_dir), '--data-root', str(tmp_path / 'UCF_CC_50')]
    command = [*always, '--folds', '3', '1']
    run = experiments.run_tool

    def interrupted(name, inputs, options, gpus=None):
        if inputs[0].stem == 'fold_1':
            run(name, inputs, [*options, '--cfg-options', 'train_cfg.max_epochs=1'])
            raise KeyboardInterrupt
        run(name, inputs, options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(experiments, 'run_tool', interrupted)
        tool.main(command)
    assert runs == ['train fold_3', 'test fold_3', 'train fold_1']
    first = json.loads((work_dir / 'cross_validation.json').read_text())
    assert [fold['fold'] for fold in first['folds']] == [3]
    assert set(first['std'].values()) == {None}

    # The finished fold is left alone, the other one is gone on with.
    finished = (work_dir / 'fold_3' / 'result.json').stat()
    runs.clear()
    tool.main(command)
    assert runs == ['train fold_1', 'test fold_1']
    assert (work_dir / 'fold_3' / 'result.json').stat().st_mtime_ns == finished.st_mtime_ns
    assert any('resumed epoch: 1' in log.read_text() for log in work_dir.glob('fold_1/*/*.log'))

    table = json.loads((work_dir / 'cross_validation.json').read_text())
    assert (table['config'], table['seed']) == ('tiny.py', 0)
    assert table['options'] == f'--data-root {tmp_path / "UCF_CC_50"}'
    assert [fold['fold'] for fold in table['folds']] == [1, 3]
    for result in table['folds']:
        check_result(result, work_dir, tmp_path)
    maes = [result['count/MAE'] for result in table['folds']]
    assert table['mean']['count/MAE'] == pytest.approx(sum(maes) / 2)
    assert table['std']['count/MAE'] == pytest.approx(abs(maes[0] - maes[1]) / 2**0.5)
    lines = (work_dir / 'cross_validation.md').read_text().splitlines()[-4:]
    cells = [[cell.strip() for cell in line.split('|')[1:4]] for line in lines]
    assert [cell[:2] for cell in cells] == [
        ['1', '3'],
        ['3', '3'],
        ['mean', '6'],
        ['standard deviation', ''],
    ]
    assert [float(cell[2]) for cell in cells[:2]] == pytest.approx(maes, abs=0.006)

    # A finished run needs nothing, not even the data, and keeps the folds that it is not asked for.
    runs.clear()
    (tmp_path / 'UCF_CC_50').rename(tmp_path / 'elsewhere')
    tool.main([*always, '--folds', '1'])
    assert not runs
    assert json.loads((work_dir / 'cross_validation.json').read_text()) == table


def check_result(result, work_dir, data_root):
    """The result of a fold is that of its best checkpoint on its images."""
    folder = work_dir / f'fold_{result["fold"]}'
    cfg = read_config(folder / f'{folder.name}.py')  # as the run saw it
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert (dataset.split, dataset.fold) == (split, result['fold'])
    with DefaultScope.overwrite_default_scope('mmcrowd'):
        model = MODELS.build(cfg.model).eval()
    (best,) = folder.glob('best_*.pth')
    model.load_state_dict(torch.load(best, weights_only=False)['state_dict'])
    dataset = UCFCC50Dataset(
        data_root=str(data_root / 'UCF_CC_50'),
        fold=result['fold'],
        split='test',
        pipeline=cfg.test_pipeline,
        test_mode=True,
    )
    counts, errors = [], []
    for k in range(len(dataset)):
        sample = dataset[k]
        batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        with torch.no_grad():
            (predicted,) = model.test_step(batch)
        # Every image has as many points as its name says.
        counts.append(float(predicted.pred_count))
        errors.append(counts[-1] - int(dataset.get_data_info(k)['img_id']))
    assert min(counts) > 0
    assert result['images'] == len(errors) == 3
    assert result['checkpoint'] == best.stem
    assert result['count/MAE'] == pytest.approx(np.mean(np.abs(errors)), rel=1e-4)
    assert result['count/RMSE'] == pytest.approx(np.mean(np.square(errors)) ** 0.5, rel=1e-4)


def test_other_options_and_another_seed_are_refused(tool, config, tmp_path, monkeypatch):
    command = [str(config), '--folds', '2', '--work-dir', str(tmp_path / 'runs')]
    monkeypatch.setattr(cross_validation, 'train_and_test', stop)
    with pytest.raises(KeyboardInterrupt):
        tool.main(command)
    # Other folds go into the same table.
    with pytest.raises(KeyboardInterrupt):
        tool.main([*command, '--folds', '4'])
    for other in (['--amp'], ['--gpus', '1'], ['--cfg-options', 'randomness.seed=1']):
        with pytest.raises(ValueError, match=r'fold_2\.py is of another cross-validation'):
            tool.main([*command, '--folds', '1', *other])
        assert not (tmp_path / 'runs' / 'fold_1.py').exists()
    # Nor does a config that was changed go on, not even where it inherits.
    config.write_text(CONFIG.replace('max_epochs=2', 'max_epochs=3'))
    with pytest.raises(ValueError, match=r'fold_2\.py is of another cross-validation'):
        tool.main(command)
    config.write_text(CONFIG.replace('train_seed = 0', 'train_seed = 5'))
    with pytest.raises(ValueError, match=r'same seed everywhere, got train_\S+seed=5, val_\S+=0'):
        tool.main(command)
    config.write_text(CONFIG.replace('seed = 0', 'seed = 5'))
    with pytest.raises(ValueError, match=r'fold_2\.py is of another cross-validation'):
        tool.main(command)


def stop(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    'base, options, message',
    [
        (
            'pml_mcnn_shb.py',
            [],
            r'pml_mcnn_shb\.py: there is no train_dataloader\.dataset\.fold; .*ShanghaiTechDataset',
        ),
        (None, ['train_dataloader.dataset.fold=1'], r'dataset\.fold: .* chosen by --folds'),
        (
            None,
            ['train_dataloader.batch_size=12'],
            r'fold 0: \S+batch_size=12 .* of the 11 training',
        ),
        (None, ['train_dataloader.dataset.data_root=nowhere'], 'no nowhere; data_root='),
    ],
)
def test_refused_before_training(tool, config, tmp_path, base, options, message):
    config = config if base is None else REPO / 'configs' / base
    work_dir = tmp_path / 'runs'
    command = [str(config), '--work-dir', str(work_dir)]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        tool.main([*command, *(['--cfg-options', *options] if options else [])])
    assert not work_dir.exists()


def test_no_such_fold(tool, config, tmp_path):
    with pytest.raises(ValueError, match='fold=5, expected 0 to 4'):
        tool.main([str(config), '--folds', '0', '5', '--work-dir', str(tmp_path / 'runs')])


def test_fold_inside_wrappers(config, tmp_path):
    wrapped = config.with_name('wrapped.py')
    wrapped.write_text(WRAPPED)
    # 22 training images: repeated ones are counted.
    options = RunOptions(cfg_options=['train_dataloader.batch_size=12'])
    cfg = options.read_config(wrapped)
    keys, seed = find_folds(cfg)
    assert keys[0] == 'train_dataloader.dataset.dataset' and seed == 0
    assert count_images(4, keys, cfg) == 3
    with pytest.raises(ValueError, match='of the 11 training images of a process'):
        count_images(4, keys, cfg, gpus=2)
    written = read_config(write_fold_config(4, keys, seed, cfg, options, tmp_path / 'runs'))
    train = written.train_dataloader.dataset
    assert (train.type, train.dataset.fold, train.dataset.split) == ('RepeatDataset', 4, 'train')
    assert 'fold' not in train
    assert written.val_dataloader.dataset.fold == written.test_dataloader.dataset.fold == 4


def test_statistics():
    values = {0: (2.0, 3.0, 0.1), 1: (4.0, 5.0, 0.4), 4: (9.0, 13.0, 0.4)}
    results = {fold: dict(zip(METRICS, v, strict=True)) for fold, v in values.items()}
    summary = summarize(results)
    # 2, 4, 9: mean 5, squares of the deviations 9 + 1 + 16 = 26, by two.
    assert list(summary['mean'].values()) == pytest.approx([5, 7, 0.3])
    assert list(summary['std'].values()) == pytest.approx([13**0.5, 28**0.5, 0.03**0.5])
    assert summarize({0: results[0]}) == dict(mean=results[0], std=dict.fromkeys(METRICS))
